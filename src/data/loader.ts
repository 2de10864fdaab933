/**
 * The order in which training sees the rows of a text. The order of an epoch is a permutation computed from the seed
 * and the epoch's number, one row at a time: the loader's whole state is three numbers, and one more for each text of a
 * mixture, and any place of the run is reached at once.
 */
import { BraidError } from '../graph/index.ts';
import { isMixture, nextPart, type WeightedSource } from './mixture.ts';
import { permutation } from './order.ts';
import type { Rows, TokenSource } from './packing.ts';
import { fillRow, wholeRows } from './packing.ts';

export interface LoaderState {
  readonly seed: number;
  /** Of a mixture always 0: its texts have epochs of their own. */
  readonly epoch: number;
  /** Rows of this epoch already given out. */
  readonly index: number;
  /** Of a mixture: rows given out from each of its texts. */
  readonly taken?: readonly number[] | undefined;
}

export interface LoaderOptions {
  /** `apart`: nothing passes from one document to the next. `joined`: a row is one text. */
  readonly documents?: 'apart' | 'joined';
}

/** A text of the loader: its rows, and their order in the epoch at hand. */
interface Part extends WeightedSource {
  readonly rows: number;
  epoch: number;
  order: (index: number) => number;
}

export class Loader {
  readonly #parts: readonly Part[];
  readonly #weights: readonly number[];
  readonly #mixed: boolean;
  readonly #length: number;
  readonly #joined: boolean;
  #seed: number;
  #taken: number[];

  /** A text that has no whole row of `length` tokens is an error. */
  constructor(
    source: TokenSource,
    length: number,
    seed: number,
    { documents = 'apart' }: LoaderOptions = {},
  ) {
    this.#mixed = isMixture(source);
    const parts = isMixture(source) ? source.parts : [{ source, weight: 1 }];
    this.#parts = parts.map((part) => ({
      ...part,
      rows: rowsOf(part.source, length),
      epoch: -1,
      order: (index) => index,
    }));
    this.#weights = parts.map(({ weight }) => weight);
    this.#length = length;
    this.#joined = documents === 'joined';
    this.#seed = seed;
    this.#taken = parts.map(() => 0);
  }

  /** Rows in an epoch; of a mixture, rows of all its texts. */
  get rows(): number {
    return this.#parts.reduce((sum, { rows }) => sum + rows, 0);
  }

  get state(): LoaderState {
    const seed = this.#seed;
    const given = this.#taken.reduce((sum, count) => sum + count, 0);
    if (this.#mixed) return { seed, epoch: 0, index: given, taken: [...this.#taken] };
    // The end of an epoch is not yet the beginning of the next: no row of it was asked for.
    const epoch = Math.max(0, Math.ceil(given / this.rows) - 1);
    return { seed, epoch, index: given - epoch * this.rows };
  }

  /** Goes to a state that a loader of the same text and length gave before. */
  seek({ seed, epoch, index, taken }: LoaderState): void {
    if (this.#mixed) {
      if (taken?.length !== this.#parts.length) {
        throw new BraidError(
          'checkpoint',
          `The checkpoint counts the rows of ${taken?.length ?? 1} texts, but this mixture has ${this.#parts.length}. ` +
            'The run was trained on another text; resume it with the same one.',
        );
      }
      this.#taken = [...taken];
    } else {
      if (taken !== undefined || index < 0 || index > this.rows || !Number.isInteger(index)) {
        throw new BraidError(
          'checkpoint',
          `The checkpoint stands at row ${index} of an epoch, but this text has ${this.rows} rows of ` +
            `${this.#length}. The run was trained on another text; resume it with the same one.`,
        );
      }
      this.#taken = [epoch * this.rows + index];
    }
    this.#seed = seed;
    for (const part of this.#parts) part.epoch = -1;
  }

  /** Fills the first `batch` rows of the arrays with the next rows of the order; a new epoch follows the last. */
  fill(into: Rows, batch: number): void {
    for (let slot = 0; slot < batch; slot++) {
      const number = this.#parts.length === 1 ? 0 : nextPart(this.#weights, this.#taken);
      const part = this.#parts[number];
      const epoch = Math.floor(this.#taken[number] / part.rows);
      if (epoch !== part.epoch) {
        part.order = permutation(part.rows, this.#seed, epoch, number);
        part.epoch = epoch;
      }
      fillRow(part.source, part.order(this.#taken[number] % part.rows), this.#length, into, slot);
      this.#taken[number]++;
    }
    if (this.#joined) into.documents.fill(0, 0, batch * this.#length);
  }
}

function rowsOf(source: TokenSource, length: number): number {
  const rows = wholeRows(source, length);
  if (rows > 0) return rows;
  throw new BraidError(
    'data',
    `The training text has ${source.count - 1} tokens, fewer than one sequence of ${length}. ` +
      'Give a longer text, or a smaller train.length.',
  );
}
