/** What is scored: a text as tokens, of which only the end counts. */
import type { Tokenizer } from '../data/index.ts';

export interface Continuation {
  readonly tokens: Int32Array;
  /** Index of the first token that counts, at least 1: the ones before it are only read. */
  readonly from: number;
}

export interface Likelihood {
  /** Σ log p of the tokens that count, in nats. */
  readonly logLikelihood: number;
  /** Whether each of them was the most likely token; undefined where nobody asked. */
  readonly greedy: boolean | undefined;
}

/** Scores continuations; those of a group mostly begin alike. */
export interface ContinuationScorer {
  /** Why texts are computed whole though they begin alike; undefined where they are not. */
  readonly recomputes: string | undefined;
  score(group: readonly Continuation[], greedy: boolean): Promise<readonly Likelihood[]>;
  dispose(): void;
}

/** How contexts and continuations become tokens. */
export interface PairEncoding {
  readonly tokenizer: Tokenizer;
  /** The token before every text. */
  readonly begin: number;
  /** Whether contexts begin with it too; otherwise only empty ones do. */
  readonly beginsContexts: boolean;
  /** Tokens that the model reads at most; longer texts lose their beginning. */
  readonly length: number;
}

/**
 * As lm-evaluation-harness 0.4.13 does: white space at the end of the context goes to the continuation, both are encoded
 * together and cut where the context alone would end. An empty context is the token that begins a text.
 */
export function encodePair(context: string, continuation: string, encoding: PairEncoding): Continuation {
  const { tokenizer, begin, beginsContexts } = encoding;
  if (context === '') {
    const tokens = tokenizer.encode(continuation);
    return cut(Int32Array.of(begin, ...tokens), 1, encoding);
  }
  const kept = context.trimEnd();
  const prefix = beginsContexts ? [begin] : [];
  const whole = Int32Array.of(...prefix, ...tokenizer.encode(context + continuation));
  return cut(whole, prefix.length + tokenizer.encode(kept).length, encoding);
}

/**
 * As FlowHN's released scripts do: no token begins the text. `apart`: context and continuation are encoded apart and joined;
 * otherwise they are encoded together, and as many tokens count at the end as the continuation alone has.
 */
export function encodeReleased(
  context: string,
  continuation: string,
  apart: boolean,
  encoding: PairEncoding,
): Continuation {
  const { tokenizer } = encoding;
  const alone = tokenizer.encode(continuation);
  const whole = apart
    ? Int32Array.of(...tokenizer.encode(context), ...alone)
    : tokenizer.encode(context + continuation);
  return cut(whole, whole.length - alone.length, encoding);
}

/** Keeps the last `length` inputs and the token that they predict. */
function cut(tokens: Int32Array, from: number, { length }: PairEncoding): Continuation {
  const excess = Math.max(0, tokens.length - length - 1);
  return { tokens: tokens.subarray(excess), from: Math.max(1, from - excess) };
}
