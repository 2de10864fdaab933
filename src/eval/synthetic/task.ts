/**
 * A synthetic task: rows of tokens made from a seed, with the tokens that a model should say at some of the places. A row
 * is a function of seed, split and number, so nothing is stored and any row can be made again.
 */

export type Split = 'train' | 'test';

export interface SyntheticRow {
  /** What the model reads: `length` tokens. */
  readonly ids: Int32Array;
  /** What it should say at each of these places; −1 where nothing is asked. */
  readonly targets: Int32Array;
  /** What the row belongs to when accuracy is broken down, such as a depth. */
  readonly group?: string;
}

export interface SyntheticTask {
  /** With its settings: `mqar:vocabulary=512,length=128,pairs=32`. */
  readonly name: string;
  readonly vocabulary: number;
  /** Tokens in a row. */
  readonly length: number;
  readonly trainRows: number;
  readonly testRows: number;
  /** Most targets in a row. */
  readonly places: Readonly<Record<Split, number>>;
  /**
   * `tokens`: said at the place itself; `autoencoder`: the whole row is said from what the model made of its last token
   * (decoder.ts).
   */
  readonly readout: 'tokens' | 'autoencoder';
  row(split: Split, index: number): SyntheticRow;
}

/** A next-token row: inputs are all tokens but the last, targets all but the first, where `asked`. */
export function shifted(tokens: readonly number[], asked: (index: number) => boolean): SyntheticRow {
  return {
    ids: Int32Array.from(tokens.slice(0, -1)),
    targets: Int32Array.from(tokens.slice(1), (token, index) => (asked(index + 1) ? token : -1)),
  };
}
