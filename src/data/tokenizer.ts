/**
 * From text to token numbers and back. A tokenizer works on bytes, so that any file survives the way there and back;
 * text is UTF-8.
 */
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { BraidError } from '../graph/index.ts';
import { huggingFaceTokenizer } from './tokenizers/huggingFace.ts';
import { tiktoken, tiktokenPrefix } from './tokenizers/tiktoken.ts';
import { tokenizerPath } from './tokenizers/tokenizerFile.ts';

export interface Tokenizer {
  readonly name: string;
  /** Two tokenizers with the same identity give the same tokens: what a run or a shard keeps to know its own again. */
  readonly identity: string;
  /** Where it was read from, if it lies in a file. */
  readonly file?: string;
  /** What encodes: an encoder of Braid's, or a library, which is slower. */
  readonly encoder: string;
  /** Number of different tokens, the separator included. */
  readonly vocabulary: number;
  /** The token that stands before every document and that ends the last one; it has no bytes. */
  readonly separator: number;
  encode(text: string | Uint8Array): Int32Array;
  /** The bytes of the tokens; separators vanish. An unknown token is an error. */
  decode(tokens: Iterable<number>): Uint8Array;
}

const BYTES = 256;

/** Every byte is a token; token 256 is the separator. No training, no files, nothing that cannot be encoded. */
export const byteTokenizer: Tokenizer = {
  name: 'bytes',
  identity: 'bytes',
  encoder: 'bytes as they are',
  vocabulary: BYTES + 1,
  separator: BYTES,
  encode: (text) => new Int32Array(typeof text === 'string' ? new TextEncoder().encode(text) : text),
  decode: (tokens) => {
    const bytes: number[] = [];
    for (const token of tokens) {
      if (token === BYTES) continue;
      if (!Number.isInteger(token) || token < 0 || token > BYTES) {
        throw new BraidError(
          'data',
          `Token ${token} is not one of the byte tokenizer's; it knows 0 to ${BYTES}. ` +
            'The model was trained with another tokenizer.',
        );
      }
      bytes.push(token);
    }
    return Uint8Array.from(bytes);
  },
};

/** For a model whose tokens are not known here: it takes token ids, and refuses text. */
export const noTokenizer: Tokenizer = {
  name: 'none',
  identity: 'none',
  encoder: 'none',
  vocabulary: 0,
  // No token has this number: nothing ends a text.
  separator: -1,
  encode: refuseText,
  decode: refuseText,
};

function refuseText(): never {
  throw new BraidError(
    'data',
    "This model has no tokenizer here (data.tokenizer is 'none'), so that it takes token ids only: " +
      "'braid generate RUN --ids 1,2,3'. Import it with --tokenizer and its tokenizer.json or, to train it on text byte by " +
      'byte, with --tokenizer bytes.',
  );
}

const simple: readonly Tokenizer[] = [byteTokenizer, noTokenizer];

/** Tokenizers take a while to build, and a command asks for its own several times. */
const built = new Map<string, Tokenizer>();

/** `bytes`, `none`, `tiktoken:NAME`, or a Hugging Face `tokenizer.json` or the folder that holds one. */
export function findTokenizer(name: string): Tokenizer {
  const found = simple.find((tokenizer) => tokenizer.name === name);
  if (found) return found;
  if (name.startsWith(tiktokenPrefix)) return once(name, () => tiktoken(name.slice(tiktokenPrefix.length)));
  const path = tokenizerPath(name);
  return once(`${path} ${statSync(path).mtimeMs}`, () => huggingFaceTokenizer(path));
}

function once(key: string, build: () => Tokenizer): Tokenizer {
  const found = built.get(key) ?? build();
  built.set(key, found);
  return found;
}

/** Stands for the tokenizer of the shards that a run is trained on. */
export const tokenizerOfTheShards = 'shards';

/** The same name from any working folder. */
export function absoluteTokenizer(name: string): string {
  const isFile = ![...simple.map((tokenizer) => tokenizer.name), tokenizerOfTheShards].includes(name);
  return isFile && existsSync(name) ? resolve(name) : name;
}
