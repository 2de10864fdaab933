/** What the scan of Mamba-2 and its backward pass have in common: operands, their checks, and one step in time. */
import type { Operand, TensorType } from '../graph/index.ts';
import { activations } from './activations.ts';
import type { Recurrence } from './recurrence.ts';
import type { Fail, FloatType } from './require.ts';
import { requirePositiveInteger } from './require.ts';
import type { SelectiveInputs, SelectiveOperands, SelectiveShapes } from './selectiveOperands.ts';
import { checkForward, readForward } from './selectiveOperands.ts';
import { sizesOf } from './sequence.ts';

/**
 * x [B, L, H, P]; dt [B, L, H]; aLog, d and dtBias [H]: one number per head; b and c [B, L, G, N], where G divides H;
 * state [B, H, P, N].
 */
export type SsdInputs = SelectiveInputs;

/** An absent bound of Δ bounds nothing. */
export type SsdAttributes = {
  readonly chunk: number;
  readonly dtLow: number | undefined;
  readonly dtHigh: number | undefined;
  readonly dtype: FloatType;
};

export interface SsdSizes {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  /** P: numbers of one head. */
  readonly headSize: number;
  readonly groups: number;
  /** N: states per number. */
  readonly states: number;
}

/** What the operands of these sizes must be. */
export function ssdShapes({ batch, length, heads, headSize, groups, states }: SsdSizes): SelectiveShapes {
  return {
    x: [batch, length, heads, headSize],
    dt: [batch, length, heads],
    aLog: [heads],
    b: [batch, length, groups, states],
    d: [heads],
    state: [batch, heads, headSize, states],
  };
}

/** Checks the first ten operands. */
export function checkSsd(
  inputs: readonly (TensorType | undefined)[],
  { chunk, dtLow = 0, dtHigh = Number.POSITIVE_INFINITY }: SsdAttributes,
  fail: Fail,
): SsdSizes {
  const [batch, length, heads, headSize] = sizesOf(inputs[0], 'x', 'B, L, H, P', fail);
  const [, , groups, states] = sizesOf(inputs[3], 'b', 'B, L, G, N', fail);
  if (heads % groups !== 0) {
    return fail(`${heads} heads cannot share ${groups} groups evenly; the groups must divide the heads.`);
  }
  requirePositiveInteger(chunk, 'chunk', fail);
  if (!(dtLow >= 0 && dtLow <= dtHigh)) {
    return fail(`attributes dtLow and dtHigh are ${dtLow} and ${dtHigh}; 0 ≤ dtLow ≤ dtHigh must hold.`);
  }
  const sizes = { batch, length, heads, headSize, groups, states };
  checkForward(inputs, ssdShapes(sizes), fail);
  return sizes;
}

export function ssdSizes(inputs: readonly (TensorType | undefined)[]): SsdSizes {
  const [batch, length, heads, headSize] = inputs[0]?.shape ?? [];
  const [, , groups, states] = inputs[3]?.shape ?? [];
  return { batch, length, heads, headSize, groups, states };
}

/** Adds up `ofChunk` over the lengths of all chunks of all rows. */
function overChunks({ batch, length }: SsdSizes, chunk: number, ofChunk: (count: number) => number): number {
  return batch * (Math.floor(length / chunk) * ofChunk(chunk) + ofChunk(length % chunk));
}

/** Pairs of positions of one chunk, over all chunks of all rows: what the products that make the scores work on. */
export function chunkPairs(sizes: SsdSizes, chunk: number): number {
  return overChunks(sizes, chunk, (count) => count * count);
}

/**
 * The pairs of which the kernel weighs the scores: those that look back, and on the diagonal whole blocks of sixteen
 * positions. The kernels of the matrix unit take strips of 32 positions and pad numbers and states to 32: what they multiply
 * with padding is not counted, as costs are those of the operation, whichever instruction set runs it.
 */
export function weighedPairs(sizes: SsdSizes, chunk: number): number {
  return overChunks(sizes, chunk, (count) => {
    let pairs = 0;
    for (let first = 0; first < count; first += 16) {
      pairs += Math.min(16, count - first) * Math.min(first + 16, count);
    }
    return pairs;
  });
}

/**
 * Into how many shares the native kernel cuts the heads of a group (native/kernels/ssd.hpp): as few as give the threads
 * equal work.
 */
export function headParts({ batch, heads, groups }: SsdSizes, threads: number): number {
  const units = batch * groups;
  const most = Math.min(heads / groups, threads);
  let parts = 1;
  while (parts < most && units * parts < 4 * threads && (units * parts) % threads !== 0) parts++;
  return parts;
}

/** The operands as the plain meaning reads them; A is [H]. */
export interface SsdOperands extends SsdSizes, SelectiveOperands {
  /** Δ = clamp(softplus(dt + dtBias), dtLow, dtHigh) of head `h` of a token, and its slope in dt. */
  step(token: number, h: number): { readonly size: number; readonly slope: number };
  /** Where the numbers of the group of head `h` begin in b and c. */
  group(token: number, h: number): number;
}

export function readSsd(
  inputs: readonly (Operand | undefined)[],
  { dtLow = 0, dtHigh = Number.POSITIVE_INFINITY }: SsdAttributes,
): SsdOperands {
  const sizes = ssdSizes(inputs);
  const { heads, groups, states } = sizes;
  const operands = readForward(inputs);
  const { softplus } = activations;
  const step = (token: number, h: number): { size: number; slope: number } => {
    const raw = operands.rawStep(token * heads + h, h);
    const size = softplus.value(raw);
    if (size < dtLow) return { size: dtLow, slope: 0 };
    if (size > dtHigh) return { size: dtHigh, slope: 0 };
    return { size, slope: softplus.derivative(raw) };
  };
  return {
    ...sizes,
    ...operands,
    step,
    group: (token, h) => (token * groups + Math.floor((h * groups) / heads)) * states,
  };
}

/** S ← exp(Δ A) S + Δ x ⊗ B on the states [H, P, N] of a row. */
export function ssdRecurrence(operands: SsdOperands): Recurrence {
  const { batch, length, heads, headSize, states: count, x, b, decay, documents, step, group } = operands;
  return {
    ...{ batch, length, documents, stateSize: heads * headSize * count },
    advance(state, row, t) {
      const token = row * length + t;
      for (let h = 0; h < heads; h++) {
        const { size } = step(token, h);
        const keep = Math.exp(size * decay[h]);
        const from = group(token, h);
        for (let p = 0; p < headSize; p++) {
          const input = size * x[(token * heads + h) * headSize + p];
          const at = (h * headSize + p) * count;
          for (let n = 0; n < count; n++) state[at + n] = keep * state[at + n] + input * b[from + n];
        }
      }
    },
  };
}
