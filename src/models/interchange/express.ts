/** A model of Braid in the words of a family, or the first layer that the family cannot say. */
import type { LayerChoice } from '../../blocks/index.ts';
import { BraidError } from '../../graph/index.ts';
import type { ParameterSpec } from '../../nn/index.ts';
import type { ModelConfig } from '../config.ts';
import { parseModelConfig } from '../config.ts';
import { firstDifference, fullOptions } from './equivalence.ts';
import type { Family } from './family.ts';
import type { Json } from './fields.ts';
import { Fields } from './fields.ts';
import { correspondence } from './foreignModel.ts';
import type { MappedTensor } from './mapping.ts';
import { placedBlocks } from './placed.ts';

export interface Expressed {
  /** What `config.json` says. */
  readonly json: Json;
  readonly parameters: readonly ParameterSpec[];
  readonly tensors: readonly MappedTensor[];
}

/**
 * Throws `BraidError('unsupported')` with the first layer that cannot be expressed and why. What is written is read back
 * and compared, so that no option is lost in silence.
 */
export function express(config: ModelConfig, family: Family): Expressed {
  const blocks = placedBlocks(config);
  const refuse = (where: string, why: string): never => {
    throw new BraidError('unsupported', `${where} cannot be expressed as ${family.name}: ${why}.`);
  };
  const foreign = blocks.find(({ form }) => !family.forms.includes(form));
  if (foreign) refuse(foreign.path, `it is ${foreign.form}, and the family has ${family.forms.join(', ')}`);
  const layers = blocks.flatMap((block) => block.layers.map(({ layer }) => layer));
  const options = (type: string): Json | undefined => {
    const found: LayerChoice | undefined = layers.find((layer) => layer.type === type);
    return found && fullOptions(found, config.width);
  };
  const json = family.write?.({ config, blocks, options }) ?? refuse('The model', 'it is only read');
  const again = readBack(family, json, refuse);
  const difference = firstDifference(config, again);
  if (difference) refuse(difference.where, difference.why);
  return { json, ...correspondence(family, config) };
}

/** A value that the family does not know at all is found here, before the comparison. */
function readBack(family: Family, json: Json, refuse: (where: string, why: string) => never): ModelConfig {
  try {
    return parseModelConfig(family.read(new Fields('config.json', json)), 'The model written down');
  } catch (error) {
    if (error instanceof BraidError) return refuse('The model', error.message);
    throw error;
  }
}
