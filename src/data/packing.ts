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
import { createHash } from 'node:crypto';
import { BraidError } from '../graph/index.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * Tokens that may lie in memory or in files: all documents, each after its separator, and one closing separator. Nothing
 * but the start of a document is a separator, so that any part tells by itself where documents begin.
 */
export interface TokenSource {
  /** Tokens, all separators included. */
  readonly count: number;
  readonly separator: number;
  /** Bytes of text, separators not counted. */
  readonly bytes: number;
  /** Tells one text from another: a run goes on with the text that it began with. */
  readonly fingerprint: string;
  /** Writes the `count` tokens from `begin` on to `into`, from its element `at` on. */
  read(begin: number, count: number, into: Int32Array, at: number): void;
}

/** Tokens in memory. */
export interface TokenStream extends TokenSource {
  readonly tokens: Int32Array;
  /** Where each document's separator stands, increasing. */
  readonly starts: Int32Array;
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
  let at = 0;
  for (const part of encoded) {
    tokens[at] = tokenizer.separator;
    tokens.set(part, at + 1);
    at += part.length + 1;
  }
  tokens[at] = tokenizer.separator;
  const bytes = documents.reduce((sum, document) => sum + document.length, 0);
  return streamOf(tokens, tokenizer.separator, bytes);
}

/** Tokens that are laid out as a stream already: separators before the documents and one after the last. */
export function streamOf(tokens: Int32Array, separator: number, bytes: number): TokenStream {
  const last = tokens.length - 1;
  let documents = 0;
  for (let at = 0; at < last; at++) if (tokens[at] === separator) documents++;
  const starts = new Int32Array(documents);
  for (let at = last - 1, index = documents; index > 0; at--)
    if (tokens[at] === separator) starts[--index] = at;
  let known: string | undefined;
  return {
    tokens,
    starts,
    separator,
    bytes,
    count: tokens.length,
    get fingerprint() {
      known ??= hash(tokens);
      return known;
    },
    read: (begin, count, into, at) => into.set(tokens.subarray(begin, begin + count), at),
  };
}

function hash(tokens: Int32Array): string {
  const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

/** Rows of `length` whose every position has a target. */
export function wholeRows(source: Pick<TokenSource, 'count'>, length: number): number {
  return Math.floor((source.count - 1) / length);
}

/** Rows of `length` that cover every target; the last one may be partly empty. */
export function coveringRows(source: Pick<TokenSource, 'count'>, length: number): number {
  return Math.ceil((source.count - 1) / length);
}

/**
 * Writes row `row` of the tokens to place `slot` of the batch. Positions past the end hold a repeated last token without a
 * target.
 */
export function fillRow(source: TokenSource, row: number, length: number, into: Rows, slot: number): void {
  const last = source.count - 1;
  const begin = row * length;
  if (row < 0 || begin >= last) {
    throw new BraidError(
      'data',
      `Row ${row} of length ${length} is past the end of a text of ${last} tokens.`,
    );
  }
  const { ids, targets, positions, documents } = into;
  const { separator } = source;
  const base = slot * length;
  const present = Math.min(length, last - begin);
  source.read(begin, present, ids, base);
  source.read(begin + 1, present, targets, base);
  if (present < length) {
    ids.fill(targets[base + present - 1], base + present, base + length);
    targets.fill(-1, base + present, base + length);
  }
  let document = 0;
  for (let t = 0; t < length; t++) {
    if (t < present && ids[base + t] === separator) document = t;
    positions[base + t] = t;
    documents[base + t] = document;
  }
}
