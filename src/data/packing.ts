/**
 * Documents become one stream of tokens, and the stream rows of equal length.
 *
 *     stream   | s a b c | s d e | s f g h i | s          s: separator
 *     rows of 4  s a b c   s d e s   f g h i
 *     targets    a b c s   d e s f   g h i s
 *     documents  0 0 0 0   0 0 0 3   0 0 0 0        position in the row where the document starts
 *
 * The separator opens a document, so that its first token is predicted too, and as a target it says that the document
 * ends. Every token of the text is a target exactly once; no input of one document ever predicts inside another. A
 * document that began in an earlier row starts anew at position 0.
 */
import { BraidError } from '../graph/index.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface TokenStream {
  /** All documents, each after its separator, and one closing separator. */
  readonly tokens: Int32Array;
  /** Where each document's separator stands, increasing. */
  readonly starts: Int32Array;
  /** Bytes of text, separators not counted. */
  readonly bytes: number;
}

/** The arrays of one batch, [rows, length] each. */
export interface Rows {
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  readonly documents: Int32Array;
  /** −1 where there is nothing to predict. */
  readonly targets: Int32Array;
}

export function packDocuments(documents: readonly Uint8Array[], tokenizer: Tokenizer): TokenStream {
  const encoded = documents.map((document) => tokenizer.encode(document));
  const count = encoded.reduce((sum, part) => sum + part.length + 1, 1);
  const tokens = new Int32Array(count);
  const starts = new Int32Array(encoded.length);
  let at = 0;
  encoded.forEach((part, index) => {
    starts[index] = at;
    tokens[at] = tokenizer.separator;
    tokens.set(part, at + 1);
    at += part.length + 1;
  });
  tokens[at] = tokenizer.separator;
  return { tokens, starts, bytes: documents.reduce((sum, document) => sum + document.length, 0) };
}

/** Rows of `length` whose every position has a target. */
export function wholeRows(stream: TokenStream, length: number): number {
  return Math.floor((stream.tokens.length - 1) / length);
}

/** Rows of `length` that cover every target; the last one may be partly empty. */
export function coveringRows(stream: TokenStream, length: number): number {
  return Math.ceil((stream.tokens.length - 1) / length);
}

/**
 * Writes row `row` of the stream to place `slot` of the batch, without allocating. Positions past the end hold a
 * repeated last token without a target.
 */
export function fillRow(stream: TokenStream, row: number, length: number, into: Rows, slot: number): void {
  const { tokens, starts } = stream;
  const last = tokens.length - 1;
  const begin = row * length;
  if (row < 0 || begin >= last) {
    throw new BraidError(
      'data',
      `Row ${row} of length ${length} is past the end of a text of ${last} tokens.`,
    );
  }
  let document = lastStartAtOrBefore(starts, begin);
  for (let t = 0; t < length; t++) {
    const at = begin + t;
    while (document + 1 < starts.length && starts[document + 1] <= at) document++;
    const index = slot * length + t;
    into.ids[index] = tokens[Math.min(at, last)];
    into.targets[index] = at < last ? tokens[at + 1] : -1;
    into.positions[index] = t;
    into.documents[index] = Math.max(0, starts[document] - begin);
  }
}

function lastStartAtOrBefore(starts: Int32Array, position: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}
