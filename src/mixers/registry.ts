/** Layers by name. A new layer is one folder and one line here. */
import { BraidError } from '../graph/index.ts';
import { attention } from './attention/attention.ts';
import { hyenaLi } from './hyena-li/hyenaLi.ts';
import { hyenaMr } from './hyena-mr/hyenaMr.ts';
import { hyenaSe } from './hyena-se/hyenaSe.ts';
import type { RegisteredLayer } from './layer.ts';
import { mamba1 } from './mamba1/mamba1.ts';
import { mamba2 } from './mamba2/mamba2.ts';
import { memoryMamba2 } from './memory-mamba2/memoryMamba2.ts';
import { mlp } from './mlp/mlp.ts';
import { moe } from './moe/moe.ts';
import { rgLru } from './rg-lru/rgLru.ts';

const registered: RegisteredLayer[] = [
  attention,
  mamba1,
  mamba2,
  hyenaSe,
  hyenaMr,
  hyenaLi,
  rgLru,
  memoryMamba2,
  mlp,
  moe,
];

/** All layers, in the order in which they are listed to people. */
export const layers: readonly RegisteredLayer[] = registered;

/**
 * Adds a layer from outside this package, so that patterns, plans, training and generation know it in this process. A name
 * that is taken is a `BraidError('config')`.
 */
export function registerLayer(layer: RegisteredLayer): void {
  if (layers.some(({ name }) => name === layer.name)) {
    throw new BraidError(
      'config',
      `There is a layer '${layer.name}' already; give the new one another name.`,
    );
  }
  registered.push(layer);
}

export function findLayer(name: string): RegisteredLayer {
  const found = layers.find((layer) => layer.name === name);
  if (found) return found;
  const known = layers.map((layer) => layer.name).join(', ');
  throw new BraidError('config', `There is no mixer or channel mixer '${name}'. Known: ${known}.`);
}
