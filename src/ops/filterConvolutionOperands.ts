/** What the grouped convolution and its backward pass have in common: operands, their checks, and their values. */
import type { FloatValues, Operand, Tensor, TensorType } from '../graph/index.ts';
import type { Fail, FloatType } from './require.ts';
import { FLOAT32, FLOATS, INT32, requirePositiveInteger } from './require.ts';
import { expectStateDocument, expectType, floatsOf, sizesOf } from './sequence.ts';
import type { WindowedInput } from './window.ts';
import { readWindowed } from './window.ts';

export interface FilterInputs {
  /** [B, L, D], float32 or bfloat16. */
  readonly u: Tensor;
  /** [G, K] with K from 2, where G divides D; the first tap is lag 0. */
  readonly taps: Tensor;
  /** [B, L] int32. */
  readonly documents?: Tensor | undefined;
  /** [B, K − 1, D]: the inputs before the first position, oldest first. */
  readonly window?: Tensor | undefined;
  /** [B] int32: the document of the window's last input; needed with `documents` and `window`. */
  readonly document?: Tensor | undefined;
}

/** `direct` slides the taps over the input; `blocked` multiplies Toeplitz factors with blocks of it. */
export type FilterAlgorithm = 'direct' | 'blocked';

export type FilterAttributes = {
  readonly algorithm: FilterAlgorithm;
  /** Rows of a Toeplitz factor. */
  readonly block: number;
  readonly dtype: FloatType;
};

export interface FilterSizes {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
  readonly groups: number;
  readonly taps: number;
}

/** Checks the first five operands. */
export function checkFilter(
  inputs: readonly (TensorType | undefined)[],
  { algorithm, block }: FilterAttributes,
  fail: Fail,
): FilterSizes {
  const [u, filter, documents, window, document] = inputs;
  const [batch, length, channels] = sizesOf(u, 'u', 'B, L, D', fail);
  const [groups, taps] = sizesOf(filter, 'taps', 'G, K', fail);
  if (taps < 2) return fail(`the filter has one tap; it needs at least 2 (one tap is 'multiplyChannels').`);
  if (channels % groups !== 0) {
    return fail(`${channels} channels cannot share ${groups} filters evenly; the filters must divide them.`);
  }
  if (algorithm !== 'direct' && algorithm !== 'blocked') {
    return fail(`the attribute algorithm must be 'direct' or 'blocked', not '${String(algorithm)}'.`);
  }
  requirePositiveInteger(block, 'block', fail);
  expectType(u, 'u', [batch, length, channels], FLOATS, fail);
  expectType(filter, 'taps', [groups, taps], FLOAT32, fail);
  expectType(documents, 'documents', [batch, length], INT32, fail);
  expectType(window, 'window', [batch, taps - 1, channels], FLOAT32, fail);
  expectType(document, 'document', [batch], INT32, fail);
  expectStateDocument(window, documents, document, 'window', fail);
  return { batch, length, channels, groups, taps };
}

/**
 * How many Toeplitz factors reach from a block of outputs to the inputs they need: two when K ≤ block + 1 (the block
 * itself and the one before it), more for a longer filter.
 */
export function factorCount(taps: number, block: number): number {
  return Math.ceil((taps - 1) / block) + 1;
}

/** Multiply-adds of one pass over the filter: what the mathematics needs, and what the algorithm does. */
export function filterProducts(
  inputs: readonly (TensorType | undefined)[],
  { algorithm, block }: FilterAttributes,
): { readonly needed: number; readonly done: number } {
  const [batch, length, channels] = inputs[0]?.shape ?? [];
  const taps = inputs[1]?.shape[1] ?? 0;
  const needed = batch * length * channels * taps;
  if (algorithm === 'direct') return { needed, done: needed };
  return { needed, done: batch * length * channels * block * factorCount(taps, block) };
}

/** The operands as the plain meanings read them. */
export interface FilterOperands extends WindowedInput {
  readonly taps: number;
  readonly groups: number;
  /** Channels that share a filter. */
  readonly width: number;
  /** [G, K]. */
  readonly filter: FloatValues;
}

export function readFilter([u, filter, documents, window, document]: readonly (
  | Operand
  | undefined
)[]): FilterOperands {
  const [groups, taps] = filter?.shape ?? [];
  const input = readWindowed(u, taps, { documents, window, document });
  return { ...input, taps, groups, width: input.channels / groups, filter: floatsOf(filter, 'taps') };
}
