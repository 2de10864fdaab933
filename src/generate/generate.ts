/** Text from a model, one token at a time. */
import type { Tokenizer } from '../data/index.ts';
import type { SamplingOptions } from './sampler.ts';
import { createSampler } from './sampler.ts';
import type { Session } from './session.ts';

export interface GenerateOptions {
  readonly sampling: SamplingOptions;
  /** Most tokens to generate. */
  readonly tokens: number;
  /** A token that ends the text; it is not given out. */
  readonly stop?: number;
  /** Aborting it ends the text after the token at hand. */
  readonly signal?: AbortSignal;
}

/**
 * Continues a sequence with tokens drawn from the model. `prompt` follows what the session was fed before. Drawing uses the
 * random number of the token's place in the sequence: the same seed continues the same prompt in the same way.
 */
export async function* generate(
  session: Session,
  prompt: ArrayLike<number>,
  { sampling, tokens, stop, signal }: GenerateOptions,
): AsyncGenerator<number, void, undefined> {
  const sample = createSampler(sampling);
  let next = prompt;
  for (let count = 0; count < tokens && !signal?.aborted; count++) {
    const logits = await session.feed(next);
    const token = sample(logits, session.length);
    if (token === stop) return;
    yield token;
    next = [token];
  }
}

/** A prompt as the model saw texts in training: the separator, then the tokens. */
export function encodePrompt(prompt: string, tokenizer: Tokenizer): Int32Array {
  return Int32Array.of(tokenizer.separator, ...tokenizer.encode(prompt));
}

/** Tokens as pieces of text; a character whose bytes come in several tokens comes out when it is whole. */
export async function* decodeStream(
  tokens: AsyncIterable<number>,
  tokenizer: Tokenizer,
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  for await (const token of tokens) {
    const text = decoder.decode(tokenizer.decode([token]), { stream: true });
    if (text !== '') yield text;
  }
  const rest = decoder.decode();
  if (rest !== '') yield rest;
}
