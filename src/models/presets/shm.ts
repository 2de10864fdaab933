/** The sequential hybrid that is FlowHN's main rival: Jamba's Mamba and attention without positions in turn. */
import type { Preset } from './preset.ts';
import { repeated } from './preset.ts';
import type { Rival, Shapes } from './sizes.ts';
import { attentionOf, rivalPresets } from './sizes.ts';

const shapes: Shapes = {
  plain: {
    nano: { depth: 4 },
    '10m': { depth: 11 },
    '135m': { depth: 5 },
    '350m': { depth: 20 },
    '1b': { depth: 12 },
  },
  params: {
    '135m': { depth: 4, mlp: 2432 },
    '350m': { depth: 21, mlp: 1952 },
    '1b': { depth: 13, mlp: 8176 },
  },
  flops: { '135m': { depth: 2, mlp: 2432 }, '350m': { depth: 10, mlp: 2144 }, '1b': { depth: 7, mlp: 7392 } },
};

/** Mamba and attention layers in turn, Mamba first; an odd depth ends with Mamba. */
function inTurn(depth: number): string {
  const pairs = repeated('(mamba1+mlp attention+mlp)', Math.floor(depth / 2));
  return depth % 2 === 0 ? pairs : `${pairs} mamba1+mlp`;
}

export const shm: Rival = {
  family: 'shm',
  summary: "sequential hybrid, FlowHN's main rival: Mamba and attention layers in turn, no positions",
  shapes,
  architecture: (size, depth) => ({
    pattern: inTurn(depth),
    attention: attentionOf(size, false),
    mamba1: { norms: true },
    mlp: { width: size.mlp },
  }),
};

export const shmPresets: readonly Preset[] = rivalPresets(shm);
