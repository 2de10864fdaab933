/**
 * Whether two configurations are the same model: the same function of the same parameters. Options that only say how
 * weights begin or how the work is cut do not count, and a default that depends on the width equals the value that it
 * comes to.
 */
import type { LayerChoice } from '../../blocks/index.ts';
import { findLayer } from '../../mixers/index.ts';
import type { ModelConfig } from '../config.ts';
import { modelFields } from '../config.ts';
import { describeValue } from '../configIssues.ts';
import type { PlacedBlock, PlacedLayer } from './family.ts';
import type { Json } from './fields.ts';
import { placedBlocks } from './placed.ts';

/** All options of a layer that matter, none of them left to the width. */
export function fullOptions({ type, options }: Pick<LayerChoice, 'type' | 'options'>, width: number): Json {
  return findLayer(type).meaning(options, width);
}

/** Fields of a configuration that other names, the blocks, or nothing at all stand for. */
const elsewhere = ['name', 'pattern', 'layers', 'fusion', 'routing', 'initialDeviation'];

export interface Difference {
  /** Path of a layer or block, or the name of a field. */
  readonly where: string;
  readonly why: string;
}

/** The first place, from input to output, where `model` is not what `other` is. */
export function firstDifference(model: ModelConfig, other: ModelConfig): Difference | undefined {
  const blocks = placedBlocks(model);
  const others = placedBlocks(other);
  for (const [index, block] of blocks.entries()) {
    const difference = differenceOfBlocks(block, others[index], model.width, other.width);
    if (difference) return difference;
  }
  if (blocks.length < others.length)
    return { where: 'the model', why: `it would have ${others.length} blocks` };
  const field = modelFields.find((key) => !elsewhere.includes(key) && !same(model[key], other[key]));
  if (field === undefined) return undefined;
  return {
    where: field,
    why: `it is ${describeValue(model[field])} and would be ${describeValue(other[field])}`,
  };
}

function differenceOfBlocks(
  block: PlacedBlock,
  other: PlacedBlock | undefined,
  width: number,
  otherWidth: number,
): Difference | undefined {
  if (block.form !== other?.form) {
    return { where: block.path, why: `it is ${block.form} and would be ${other?.form ?? 'missing'}` };
  }
  for (const [index, layer] of block.layers.entries()) {
    const difference = differenceOfLayers(layer, width, other.layers[index], otherWidth);
    if (difference) return difference;
  }
  const setting = differentKey(block.settings, other.settings);
  if (setting === undefined) return undefined;
  const why = `its ${setting} is ${describeValue(block.settings[setting])} and would be ${describeValue(other.settings[setting])}`;
  return { where: block.path, why };
}

function differenceOfLayers(
  { path, layer }: PlacedLayer,
  width: number,
  other: PlacedLayer,
  otherWidth: number,
): Difference | undefined {
  const options = fullOptions(layer, width);
  const wanted = fullOptions(other.layer, otherWidth);
  const option = differentKey(options, wanted);
  if (option === undefined) return undefined;
  const why = `its option '${option}' is ${describeValue(options[option])} and would be ${describeValue(wanted[option])}`;
  return { where: path, why };
}

function differentKey(a: Json, b: Json): string | undefined {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].find((key) => !same(a[key], b[key]));
}

/** Plain data in the same order of keys: both sides come from one schema. */
function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
