/**
 * The input of a causal convolution as one sequence: the window carried from the piece before, then the row. Positions
 * of the window are negative, the newest is −1.
 */
import type { Operand } from '../graph/index.ts';
import { readDocuments } from './documents.ts';
import { floatsOf, optionalFloats } from './sequence.ts';

export interface WindowedInput {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
  /** Whether position `s` holds an input that position `t` may see: of its document, and not before the window. */
  sees(row: number, s: number, t: number): boolean;
  /** The input of a channel at position `s`, from −(taps − 1); zero where there is no window. */
  at(row: number, s: number, channel: number): number;
  /** [B, taps − 1, channels]: the last inputs, with zeros for those of other documents than the last position's. */
  nextWindow(): Float64Array;
  /** [B]: the documents of the new windows. */
  nextDocument(): Int32Array;
}

/** Reads an input [B, L, channels] of a filter with `taps` taps, and its window [B, taps − 1, channels]. */
export function readWindowed(
  x: Operand | undefined,
  taps: number,
  windowed: {
    readonly documents: Operand | undefined;
    readonly window: Operand | undefined;
    readonly document: Operand | undefined;
  },
): WindowedInput {
  const [batch, length, channels] = x?.shape ?? [];
  const values = floatsOf(x, 'x');
  const window = optionalFloats(windowed.window, 'window');
  const documents = readDocuments([batch, length], windowed.documents, windowed.document);
  const reach = taps - 1;
  const sees = (row: number, s: number, t: number): boolean =>
    s >= (window ? -reach : 0) && documents.same(row, s, t);
  const at = (row: number, s: number, channel: number): number => {
    if (s >= 0) return values[(row * length + s) * channels + channel];
    return window ? window[(row * reach + reach + s) * channels + channel] : 0;
  };
  const nextWindow = (): Float64Array => {
    const next = new Float64Array(batch * reach * channels);
    for (let row = 0; row < batch; row++) {
      for (let j = 0; j < reach; j++) {
        const s = length - reach + j;
        if (!sees(row, s, length - 1)) continue;
        for (let channel = 0; channel < channels; channel++) {
          next[(row * reach + j) * channels + channel] = at(row, s, channel);
        }
      }
    }
    return next;
  };
  return { batch, length, channels, sees, at, nextWindow, nextDocument: documents.last };
}

export interface WindowedGradient {
  /** [B, L, channels]. */
  readonly x: Float64Array;
  /** [B, taps − 1, channels]. */
  readonly window: Float64Array;
  /** Adds to the gradient of a channel's input at position `s`. */
  add(row: number, s: number, channel: number, amount: number): void;
}

/** The gradient of a windowed input, made of what comes through the new window (nothing when that has none). */
export function startWindowedGradient(
  input: WindowedInput,
  taps: number,
  dNextWindow: ArrayLike<number> | undefined,
): WindowedGradient {
  const { batch, length, channels, sees } = input;
  const reach = taps - 1;
  const x = new Float64Array(batch * length * channels);
  const window = new Float64Array(batch * reach * channels);
  const add = (row: number, s: number, channel: number, amount: number): void => {
    if (s >= 0) x[(row * length + s) * channels + channel] += amount;
    else window[(row * reach + reach + s) * channels + channel] += amount;
  };
  for (let row = 0; dNextWindow && row < batch; row++) {
    for (let j = 0; j < reach; j++) {
      const s = length - reach + j;
      if (!sees(row, s, length - 1)) continue;
      for (let channel = 0; channel < channels; channel++) {
        add(row, s, channel, dNextWindow[(row * reach + j) * channels + channel]);
      }
    }
  }
  return { x, window, add };
}
