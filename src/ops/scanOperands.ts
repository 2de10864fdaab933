/** What the selective scan and its backward pass have in common: operands, their checks, and one step in time. */
import type { FloatValues, Operand, Tensor, TensorType } from '../graph/index.ts';
import { activations } from './activations.ts';
import type { Documents } from './documents.ts';
import { readDocuments } from './documents.ts';
import type { Recurrence } from './recurrence.ts';
import type { Fail, FloatType } from './require.ts';
import { FLOAT32, FLOATS, INT32 } from './require.ts';
import {
  expectStateDocument,
  expectType,
  floatsOf,
  optionalFloats,
  requireType,
  sizesOf,
} from './sequence.ts';

export interface ScanInputs {
  /** [B, L, E], float32 or bfloat16, like dt, b and c. */
  readonly x: Tensor;
  /** [B, L, E]: before bias and softplus. */
  readonly dt: Tensor;
  /** [E, N] with N at most 64: A = −exp(aLog). */
  readonly aLog: Tensor;
  /** [B, L, N]. */
  readonly b: Tensor;
  /** [B, L, N]. */
  readonly c: Tensor;
  /** [E]: the direct path from x to y. */
  readonly d: Tensor;
  /** [E]. */
  readonly dtBias: Tensor;
  /** [B, L] int32. */
  readonly documents?: Tensor | undefined;
  /** [B, E, N]: the state before the first position. */
  readonly state?: Tensor | undefined;
  /** [B] int32: the document of the state; needed with `documents` and `state`. */
  readonly document?: Tensor | undefined;
}

export type ScanAttributes = { readonly chunk: number; readonly dtype: FloatType };

export interface ScanSizes {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
  readonly states: number;
}

export const largestState = 64;

/** Checks the first ten operands. */
export function checkScan(
  inputs: readonly (TensorType | undefined)[],
  { chunk }: ScanAttributes,
  fail: Fail,
): ScanSizes {
  const [x, dt, aLog, b, c, d, dtBias, documents, state, document] = inputs;
  const [batch, length, channels] = sizesOf(x, 'x', 'B, L, E', fail);
  const states = sizesOf(aLog, 'aLog', 'E, N', fail)[1];
  if (states > largestState)
    return fail(`${states} states per channel; at most ${largestState} are possible.`);
  if (!Number.isInteger(chunk) || chunk < 1) {
    return fail(`the attribute chunk must be a whole number from 1, not ${chunk}.`);
  }
  expectType(x, 'x', [batch, length, channels], FLOATS, fail);
  requireType(dt, 'dt', [batch, length, channels], FLOATS, fail);
  expectType(aLog, 'aLog', [channels, states], FLOAT32, fail);
  requireType(b, 'b', [batch, length, states], FLOATS, fail);
  requireType(c, 'c', [batch, length, states], FLOATS, fail);
  requireType(d, 'd', [channels], FLOAT32, fail);
  requireType(dtBias, 'dtBias', [channels], FLOAT32, fail);
  expectType(documents, 'documents', [batch, length], INT32, fail);
  expectType(state, 'state', [batch, channels, states], FLOAT32, fail);
  expectType(document, 'document', [batch], INT32, fail);
  expectStateDocument(state, documents, document, 'state', fail);
  return { batch, length, channels, states };
}

export function scanSizes(inputs: readonly (TensorType | undefined)[]): ScanSizes {
  const [batch, length, channels] = inputs[0]?.shape ?? [];
  return { batch, length, channels, states: inputs[2]?.shape[1] ?? 0 };
}

/** The operands as the plain meaning reads them. */
export interface ScanOperands extends ScanSizes {
  readonly x: FloatValues;
  readonly dt: FloatValues;
  readonly b: FloatValues;
  readonly c: FloatValues;
  readonly d: FloatValues;
  readonly dtBias: FloatValues;
  /** A = −exp(aLog), [E, N]. */
  readonly decay: Float64Array;
  readonly documents: Documents;
  readonly state: FloatValues | undefined;
}

export function readScan(inputs: readonly (Operand | undefined)[]): ScanOperands {
  const sizes = scanSizes(inputs);
  return {
    ...sizes,
    x: floatsOf(inputs[0], 'x'),
    dt: floatsOf(inputs[1], 'dt'),
    decay: Float64Array.from(floatsOf(inputs[2], 'aLog'), (value) => -Math.exp(value)),
    b: floatsOf(inputs[3], 'b'),
    c: floatsOf(inputs[4], 'c'),
    d: floatsOf(inputs[5], 'd'),
    dtBias: floatsOf(inputs[6], 'dtBias'),
    documents: readDocuments([sizes.batch, sizes.length], inputs[7], inputs[9]),
    state: optionalFloats(inputs[8], 'state'),
  };
}

/** Δ of channel `e` at a place [b, t, e] of dt: softplus(dt + dtBias). */
export function stepSize({ dt, dtBias }: ScanOperands, at: number, e: number): number {
  return activations.softplus.value(dt[at] + dtBias[e]);
}

/** h ← exp(Δ A) h + Δ x B on the states [E, N] of a row. */
export function scanRecurrence(operands: ScanOperands): Recurrence {
  const { batch, length, channels, states: count, x, b, decay, documents } = operands;
  return {
    ...{ batch, length, documents, stateSize: channels * count },
    advance(states, row, t) {
      const token = row * length + t;
      for (let e = 0; e < channels; e++) {
        const at = token * channels + e;
        const delta = stepSize(operands, at, e);
        for (let n = 0; n < count; n++) {
          const i = e * count + n;
          states[i] = Math.exp(delta * decay[i]) * states[i] + delta * x[at] * b[token * count + n];
        }
      }
    },
  };
}
