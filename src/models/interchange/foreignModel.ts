/** A model as others wrote it, understood: its configuration here, and where each of its parameters is. */
import { Graph } from '../../graph/index.ts';
import type { ParameterSpec } from '../../nn/index.ts';
import { buildModel } from '../build.ts';
import type { ModelConfig } from '../config.ts';
import { parseModelConfig } from '../config.ts';
import type { Family } from './family.ts';
import type { Fields } from './fields.ts';
import type { MappedTensor } from './mapping.ts';
import { layOut } from './mapping.ts';
import { placedBlocks } from './placed.ts';
import { familyOf } from './registry.ts';

export interface ForeignModel {
  readonly family: Family;
  readonly config: ModelConfig;
  readonly parameters: readonly ParameterSpec[];
  readonly tensors: readonly MappedTensor[];
}

/** Understands a `config.json`. Throws `BraidError('file')` or, where values do not fit each other, `('config')`. */
export function understand(fields: Fields): ForeignModel {
  const family = familyOf(fields);
  const config = parseModelConfig(family.read(fields), `The model that '${fields.path}' describes`);
  return { family, config, ...correspondence(family, config) };
}

/** The parameters of a model and the tensors of a family that hold them. */
export function correspondence(
  family: Family,
  config: ModelConfig,
): Pick<ForeignModel, 'parameters' | 'tensors'> {
  const { parameters } = buildModel(new Graph(), config, { batch: 1, length: 1, documents: false });
  const rules = family.rules({ config, blocks: placedBlocks(config) });
  const shapes = new Map(parameters.map(({ name, shape }) => [name, shape]));
  return { parameters, tensors: layOut(rules, shapes) };
}
