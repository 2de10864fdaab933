/**
 * The order in which training sees the rows of a text. The order of an epoch is a permutation computed from the seed
 * and the epoch's number, one row at a time: the loader's whole state is three numbers, and any place of the run is
 * reached at once.
 */
import { BraidError } from '../graph/index.ts';
import { permutation } from './order.ts';
import type { Rows, TokenStream } from './packing.ts';
import { fillRow, wholeRows } from './packing.ts';

export interface LoaderState {
  readonly seed: number;
  readonly epoch: number;
  /** Rows of this epoch already given out. */
  readonly index: number;
}

export class Loader {
  readonly #stream: TokenStream;
  readonly #length: number;
  readonly #rows: number;
  #state: LoaderState;
  #order: (index: number) => number;

  /** A text that has no whole row of `length` tokens is an error. */
  constructor(stream: TokenStream, length: number, seed: number) {
    const rows = wholeRows(stream, length);
    if (rows === 0) {
      throw new BraidError(
        'data',
        `The training text has ${stream.tokens.length - 1} tokens, fewer than one sequence of ${length}. ` +
          'Give a longer text, or a smaller train.length.',
      );
    }
    this.#stream = stream;
    this.#length = length;
    this.#rows = rows;
    this.#state = { seed, epoch: 0, index: 0 };
    this.#order = permutation(rows, seed, 0);
  }

  /** Rows in an epoch. */
  get rows(): number {
    return this.#rows;
  }

  get state(): LoaderState {
    return this.#state;
  }

  /** Goes to a state that a loader of the same text and length gave before. */
  seek(state: LoaderState): void {
    if (state.index < 0 || state.index > this.#rows || !Number.isInteger(state.index)) {
      throw new BraidError(
        'checkpoint',
        `The checkpoint stands at row ${state.index} of an epoch, but this text has ${this.#rows} rows of ` +
          `${this.#length}. The run was trained on another text; resume it with the same one.`,
      );
    }
    this.#state = { ...state };
    this.#order = permutation(this.#rows, state.seed, state.epoch);
  }

  /** Fills the first `batch` rows of the arrays with the next rows of the order; a new epoch follows the last. */
  fill(into: Rows, batch: number): void {
    for (let slot = 0; slot < batch; slot++) {
      if (this.#state.index === this.#rows)
        this.seek({ ...this.#state, epoch: this.#state.epoch + 1, index: 0 });
      const { index } = this.#state;
      fillRow(this.#stream, this.#order(index), this.#length, into, slot);
      this.#state = { ...this.#state, index: index + 1 };
    }
  }
}
