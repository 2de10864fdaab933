/**
 * How well a model predicts a text. By a sliding window: every byte counted once, ends of documents not counted. And by
 * position: what longer and longer contexts are worth to it, past the length that it was trained at too.
 */
import type { Tokenizer, TokenStream } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import type { EvaluatedModel } from './model.ts';
import { RowScorer } from './rows.ts';
import { slidingWindows } from './windows.ts';

/** A text without separators. */
export interface Document {
  readonly tokens: Int32Array;
  readonly bytes: number;
}

export interface TextOptions {
  readonly signal?: AbortSignal | undefined;
  /** Tokens predicted so far, and all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface WindowOptions extends TextOptions {
  /** Most tokens that are read at once. */
  readonly window: number;
  /** Tokens by which the window moves; the window itself: no overlap. */
  readonly stride: number;
}

export interface TextScore {
  readonly window: number;
  readonly stride: number;
  /** Mean −log p per token, in nats. */
  readonly loss: number;
  /** Per token: it depends on the tokenizer; bits per byte do not. */
  readonly perplexity: number;
  readonly bitsPerByte: number;
  readonly tokens: number;
  readonly bytes: number;
  readonly documents: number;
}

export function readDocuments(texts: readonly Uint8Array[], tokenizer: Tokenizer): readonly Document[] {
  return texts.map((text) => ({ tokens: tokenizer.encode(text), bytes: text.length }));
}

/** The documents of a stream, with their separators taken off. */
export function documentsOf(stream: TokenStream, tokenizer: Tokenizer): readonly Document[] {
  const { tokens, starts } = stream;
  return Array.from(starts, (start, index) => {
    const end = index + 1 < starts.length ? starts[index + 1] : tokens.length - 1;
    const part = tokens.slice(start + 1, end);
    return { tokens: part, bytes: tokenizer.decode(part).length };
  });
}

/** Bits per byte and perplexity by a sliding window; each document is read alone, behind the token that begins a text. */
export async function scoreText(
  model: EvaluatedModel,
  documents: readonly Document[],
  { window, stride, signal, onProgress }: WindowOptions,
): Promise<TextScore> {
  const rows = documents.flatMap((document) => {
    const tokens = withBeginning(document, model);
    return slidingWindows(tokens.length, window, stride).map(({ begin, end, from }) => ({
      tokens: tokens.subarray(begin, end + 1),
      from: from - begin,
    }));
  });
  const bytes = documents.reduce((sum, document) => sum + document.bytes, 0);
  const tokens = documents.reduce((sum, document) => sum + document.tokens.length, 0);
  if (tokens === 0) throw new BraidError('data', 'The text is empty. Give one with something to predict.');
  const scorer = new RowScorer(model, { length: window, signal });
  let nats = 0;
  let done = 0;
  try {
    await scorer.score(rows, (_, losses) => {
      nats += losses.reduce((sum, loss) => sum + loss, 0);
      done += losses.length;
      onProgress?.(done, tokens);
    });
  } finally {
    scorer.dispose();
  }
  const loss = nats / tokens;
  return {
    window,
    stride,
    loss,
    perplexity: Math.exp(loss),
    bitsPerByte: nats / Math.LN2 / bytes,
    tokens,
    bytes,
    documents: documents.length,
  };
}

export interface PositionOptions extends TextOptions {
  /** Tokens of each document that are read, from its beginning. */
  readonly length: number;
  /** Parts of equal length into which the positions are put. */
  readonly parts: number;
}

export interface PositionScore {
  /** Positions [begin, end): tokens between the beginning of the document and the one that is predicted. */
  readonly begin: number;
  readonly end: number;
  /** Mean −log p per token, in nats, over all documents. */
  readonly loss: number;
}

export interface PositionScores {
  readonly length: number;
  /** Documents of at least that length; shorter ones are left out, so that every part sees the same ones. */
  readonly documents: number;
  readonly parts: readonly PositionScore[];
}

/** The loss by position over the documents that are long enough, each read from its beginning as one row. */
export async function scorePositions(
  model: EvaluatedModel,
  documents: readonly Document[],
  { length, parts, signal, onProgress }: PositionOptions,
): Promise<PositionScores> {
  const long = documents.filter(({ tokens }) => tokens.length >= length);
  if (long.length === 0) {
    const longest = Math.max(0, ...documents.map(({ tokens }) => tokens.length));
    throw new BraidError(
      'data',
      `No document of the text has ${length} tokens; the longest one has ${longest}. Give a smaller --length, or longer texts.`,
    );
  }
  if (!Number.isInteger(parts) || parts < 1 || parts > length) {
    throw new BraidError('usage', `${length} positions cannot be put into ${parts} parts.`);
  }
  const edges = Array.from({ length: parts + 1 }, (_, part) => Math.round((part * length) / parts));
  const sums = new Float64Array(length);
  const scorer = new RowScorer(model, { length, signal });
  let done = 0;
  try {
    const rows = long.map((document) => ({
      tokens: withBeginning(document, model).subarray(0, length + 1),
      from: 1,
    }));
    await scorer.score(rows, (_, losses) => {
      losses.forEach((loss, position) => {
        sums[position] += loss;
      });
      done += losses.length;
      onProgress?.(done, rows.length * length);
    });
  } finally {
    scorer.dispose();
  }
  const scores = edges.slice(0, -1).map((begin, part) => {
    const end = edges[part + 1];
    const total = sums.subarray(begin, end).reduce((sum, loss) => sum + loss, 0);
    return { begin, end, loss: total / ((end - begin) * long.length) };
  });
  return { length, documents: long.length, parts: scores };
}

function withBeginning({ tokens }: Document, { begin }: EvaluatedModel): Int32Array {
  const all = new Int32Array(tokens.length + 1);
  all[0] = begin;
  all.set(tokens, 1);
  return all;
}
