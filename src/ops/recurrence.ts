/**
 * What the plain meanings of all recurrences share: a state per row that moves from position to position, starts from
 * zero at every document, and is kept every `chunk` positions for the backward pass.
 */
import type { FloatValues } from '../graph/index.ts';
import type { Documents } from './documents.ts';

export interface Recurrence {
  readonly batch: number;
  readonly length: number;
  /** How many numbers the state of one row has. */
  readonly stateSize: number;
  readonly documents: Documents;
  /** Moves the state of a row over position `t`. At the start of a document the state given is zero. */
  advance(state: Float64Array, row: number, t: number): void;
}

/** How many states are kept: one for every chunk, the last of which may be shorter. */
export function chunkCount(length: number, chunk: number): number {
  return Math.ceil(length / chunk);
}

export interface Course {
  /** [B, ⌈L/chunk⌉, …]: the states that enter positions 0, chunk, 2·chunk …, before any reset there. */
  readonly checkpoints: Float64Array;
  /** [B, …]: the states after the last position. */
  readonly state: Float64Array;
}

/** Runs from the initial state (zero when there is none) and shows `visit` the state after every position. */
export function runRecurrence(
  recurrence: Recurrence,
  chunk: number,
  initial: FloatValues | undefined,
  visit: (state: Float64Array, row: number, t: number) => void,
): Course {
  const { batch, length, stateSize, documents } = recurrence;
  const chunks = chunkCount(length, chunk);
  const checkpoints = new Float64Array(batch * chunks * stateSize);
  const final = Float64Array.from(initial ?? new Float64Array(batch * stateSize));
  for (let row = 0; row < batch; row++) {
    const state = final.subarray(row * stateSize, (row + 1) * stateSize);
    for (let t = 0; t < length; t++) {
      if (t % chunk === 0) checkpoints.set(state, (row * chunks + t / chunk) * stateSize);
      if (documents.startsAfresh(row, t)) state.fill(0);
      recurrence.advance(state, row, t);
      visit(state, row, t);
    }
  }
  return { checkpoints, state: final };
}

/** The states of one row around a position, and a gradient on its way back. */
export interface Around {
  /** Zero where a document starts. */
  readonly before: Float64Array;
  readonly after: Float64Array;
  /** The gradient of `after` from later positions; `stepBack` turns it into that of `before`. */
  readonly carried: Float64Array;
}

/**
 * Runs back from the gradient of the final states (zero when there is none), last position first, and returns that of
 * the initial states. The states inside a chunk are computed again from the checkpoint that entered it.
 */
export function runBack(
  recurrence: Recurrence,
  chunk: number,
  checkpoints: FloatValues,
  dFinal: FloatValues | undefined,
  stepBack: (around: Around, row: number, t: number) => void,
): Float64Array {
  const { batch, length, stateSize, documents } = recurrence;
  const chunks = chunkCount(length, chunk);
  const gradient = Float64Array.from(dFinal ?? new Float64Array(batch * stateSize));
  for (let row = 0; row < batch; row++) {
    const carried = gradient.subarray(row * stateSize, (row + 1) * stateSize);
    for (let index = chunks - 1; index >= 0; index--) {
      const start = index * chunk;
      const end = Math.min(length, start + chunk);
      const at = (row * chunks + index) * stateSize;
      const states = statesOfChunk(recurrence, checkpoints.subarray(at, at + stateSize), row, start, end);
      for (let t = end - 1; t >= start; t--) {
        stepBack({ ...states[t - start], carried }, row, t);
        if (documents.startsAfresh(row, t)) carried.fill(0);
      }
    }
  }
  return gradient;
}

function statesOfChunk(
  recurrence: Recurrence,
  entered: FloatValues,
  row: number,
  start: number,
  end: number,
): { before: Float64Array; after: Float64Array }[] {
  const state = Float64Array.from(entered);
  const positions: { before: Float64Array; after: Float64Array }[] = [];
  for (let t = start; t < end; t++) {
    if (recurrence.documents.startsAfresh(row, t)) state.fill(0);
    const before = state.slice();
    recurrence.advance(state, row, t);
    positions.push({ before, after: state.slice() });
  }
  return positions;
}
