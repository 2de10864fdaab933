/**
 * Tokenizers that merge bytes: an encoder for all of them, told what their tokens are, what merges, and how text falls into
 * words. Any bytes come back as they were. Text never makes special tokens, also where it spells their names: what stands in a
 * document cannot end it.
 */
import { BraidError } from '../../graph/index.ts';
import type { Tokenizer } from '../tokenizer.ts';
import { bytesOf, textOf } from './losslessText.ts';
import { type Merges, mergePairs } from './mergePairs.ts';
import { splitWords } from './words.ts';

export interface ByteBpeParts {
  readonly name: string;
  readonly identity: string;
  readonly file?: string;
  /** The bytes of each token; a number without a token, or a special one, has none. */
  readonly tokens: readonly (Uint8Array | undefined)[];
  /** Number of different tokens, the separator included. */
  readonly vocabulary: number;
  readonly separator: number;
  /** The token of each byte. */
  readonly bytes: Int32Array;
  readonly merges: Merges;
  /** Tokens of whole words, by their bytes as Latin-1, that are taken without merging. */
  readonly wholeWords?: ReadonlyMap<string, number>;
  /** How text falls into words, one pattern after the other. */
  readonly patterns: readonly RegExp[];
  /** Texts that are tokens of their own wherever they stand, with their numbers. */
  readonly added?: ReadonlyMap<string, number>;
  /** Applied to text before anything else. */
  readonly normalize?: (text: string) => string;
}

/** Words whose tokens are remembered; when there are more, remembering begins anew. */
const remembered = 1 << 17;
/** Longer words are rare and not remembered. */
const longestRemembered = 64;

export function byteBpe(parts: ByteBpeParts): Tokenizer {
  const { name, identity, file, vocabulary, separator } = parts;
  return {
    name,
    identity,
    ...(file === undefined ? {} : { file }),
    encoder: 'byte pairs',
    vocabulary,
    separator,
    encode: encoderOf(parts),
    decode: (tokens) => decode(tokens, parts),
  };
}

function encoderOf(parts: ByteBpeParts): (text: string | Uint8Array) => Int32Array {
  const { patterns, merges, wholeWords, added = new Map<string, number>(), normalize } = parts;
  const cache = new Map<string, Int32Array>();
  const addedPattern = added.size > 0 ? anyOf([...added.keys()]) : undefined;
  let scratch = new Int32Array(256);

  const encodeWord = (word: string): Int32Array => {
    const bytes = bytesOf(word);
    const whole = wholeWords?.get(Buffer.from(bytes).toString('latin1'));
    if (whole !== undefined) return Int32Array.of(whole);
    if (bytes.length > scratch.length) scratch = new Int32Array(2 * bytes.length);
    for (let i = 0; i < bytes.length; i++) scratch[i] = parts.bytes[bytes[i]];
    return scratch.slice(0, mergePairs(scratch, bytes.length, merges));
  };
  const recall = (word: string): Int32Array => {
    const known = cache.get(word);
    if (known !== undefined) return known;
    const tokens = encodeWord(word);
    if (word.length <= longestRemembered) {
      if (cache.size >= remembered) cache.clear();
      cache.set(word, tokens);
    }
    return tokens;
  };
  const encodePlain = (text: string, output: TokenList): void => {
    for (const word of splitWords(text, patterns)) output.append(recall(word));
  };

  return (given) => {
    const raw = typeof given === 'string' ? given : textOf(given);
    const text = normalize ? normalize(raw) : raw;
    const output = new TokenList(Math.ceil(text.length / 3) + 8);
    if (text === '') return output.finish();
    if (!addedPattern) {
      encodePlain(text, output);
      return output.finish();
    }
    let at = 0;
    for (const { 0: found, index } of text.matchAll(addedPattern)) {
      if (index > at) encodePlain(text.slice(at, index), output);
      output.append(Int32Array.of(added.get(found) ?? 0));
      at = index + found.length;
    }
    if (at < text.length) encodePlain(text.slice(at), output);
    return output.finish();
  };
}

/** The longest of several texts that begins at a place. */
function anyOf(texts: readonly string[]): RegExp {
  const longestFirst = [...texts].sort((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'), 'gu');
}

function decode(tokens: Iterable<number>, { name, tokens: known, vocabulary }: ByteBpeParts): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const token of tokens) {
    if (!Number.isInteger(token) || token < 0 || token >= vocabulary) {
      throw new BraidError(
        'data',
        `Token ${token} is not one of the tokenizer '${name}'; it knows 0 to ${vocabulary - 1}. ` +
          'The model was trained with another tokenizer.',
      );
    }
    const bytes = known[token];
    if (bytes !== undefined) parts.push(bytes);
  }
  return Buffer.concat(parts);
}

/** Tokens, one behind the other, of which it is not yet known how many come. */
class TokenList {
  #tokens: Int32Array;
  #count = 0;

  constructor(capacity: number) {
    this.#tokens = new Int32Array(capacity);
  }

  append(more: Int32Array): void {
    const { length } = more;
    if (this.#count + length > this.#tokens.length) this.#grow(length);
    for (let i = 0; i < length; i++) this.#tokens[this.#count++] = more[i];
  }

  finish(): Int32Array {
    return this.#tokens.slice(0, this.#count);
  }

  #grow(room: number): void {
    const larger = new Int32Array(2 * this.#tokens.length + room);
    larger.set(this.#tokens);
    this.#tokens = larger;
  }
}
