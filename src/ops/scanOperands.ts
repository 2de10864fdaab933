/** What the selective scan and its backward pass have in common: operands, their checks, and one step in time. */
import type { Operand, TensorType } from '../graph/index.ts';
import { activations } from './activations.ts';
import type { Recurrence } from './recurrence.ts';
import type { Fail } from './require.ts';
import type { SelectiveInputs, SelectiveOperands, SelectiveShapes } from './selectiveOperands.ts';
import { checkForward, readForward } from './selectiveOperands.ts';
import type { StoredApart } from './sequence.ts';
import { sizesOf } from './sequence.ts';

/** x and dt [B, L, E]; aLog [E, N] with N at most 64; b and c [B, L, N]; d and dtBias [E]; state [B, E, N]. */
export type ScanInputs = SelectiveInputs;

export type ScanAttributes = { readonly chunk: number } & StoredApart;

export interface ScanSizes {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
  readonly states: number;
}

export const largestState = 64;

/** What the operands of these sizes must be. */
export function scanShapes({ batch, length, channels, states }: ScanSizes): SelectiveShapes {
  const x = [batch, length, channels];
  const b = [batch, length, states];
  return { x, dt: x, aLog: [channels, states], b, d: [channels], state: [batch, channels, states] };
}

/** Checks the first ten operands. */
export function checkScan(
  inputs: readonly (TensorType | undefined)[],
  { chunk }: ScanAttributes,
  fail: Fail,
): ScanSizes {
  const [batch, length, channels] = sizesOf(inputs[0], 'x', 'B, L, E', fail);
  const states = sizesOf(inputs[2], 'aLog', 'E, N', fail)[1];
  if (states > largestState)
    return fail(`${states} states per channel; at most ${largestState} are possible.`);
  if (!Number.isInteger(chunk) || chunk < 1) {
    return fail(`the attribute chunk must be a whole number from 1, not ${chunk}.`);
  }
  const sizes = { batch, length, channels, states };
  checkForward(inputs, scanShapes(sizes), fail);
  return sizes;
}

export function scanSizes(inputs: readonly (TensorType | undefined)[]): ScanSizes {
  const [batch, length, channels] = inputs[0]?.shape ?? [];
  return { batch, length, channels, states: inputs[2]?.shape[1] ?? 0 };
}

/** The operands as the plain meaning reads them; A is [E, N]. */
export interface ScanOperands extends ScanSizes, SelectiveOperands {}

export function readScan(inputs: readonly (Operand | undefined)[]): ScanOperands {
  return { ...scanSizes(inputs), ...readForward(inputs) };
}

/** Δ of channel `e` at a place [b, t, e] of dt: softplus(dt + dtBias). */
export function stepSize({ rawStep }: ScanOperands, at: number, e: number): number {
  return activations.softplus.value(rawStep(at, e));
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
