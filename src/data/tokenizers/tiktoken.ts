/** The encodings of tiktoken, from the ranks in the package `js-tiktoken`: `tiktoken:gpt2` and so on. */
import { createRequire } from 'node:module';
import { BraidError } from '../../graph/index.ts';
import type { Tokenizer } from '../tokenizer.ts';
import { byteBpe } from './byteBpe.ts';
import type { Merges } from './mergePairs.ts';
import { cl100kWords, gpt2Words, o200kWords, wordPattern } from './words.ts';

export const tiktokenPrefix = 'tiktoken:';

const encodings: Readonly<Record<string, string>> = {
  gpt2: gpt2Words,
  r50k_base: gpt2Words,
  p50k_base: gpt2Words,
  cl100k_base: cl100kWords,
  o200k_base: o200kWords,
};

interface Ranks {
  /** Lines of a mark, the first rank, and tokens in base 64. */
  readonly bpe_ranks: string;
  readonly special_tokens: Readonly<Record<string, number>>;
  readonly explicit_n_vocab?: number;
}

const separatorName = '<|endoftext|>';

/** The tokenizer of an encoding; an unknown one is a `BraidError('config')`. */
export function tiktoken(encoding: string): Tokenizer {
  const pattern = encodings[encoding];
  if (pattern === undefined) {
    throw new BraidError(
      'config',
      `There is no encoding '${encoding}' of tiktoken here. Known: ${Object.keys(encodings).join(', ')}.`,
    );
  }
  const { bpe_ranks, special_tokens, explicit_n_vocab = 0 } = readRanks(encoding);
  const tokens: (Uint8Array | undefined)[] = [];
  const words = new Map<string, number>();
  for (const line of bpe_ranks.split('\n')) {
    const [, first, ...encoded] = line.split(' ');
    encoded.forEach((text, index) => {
      const bytes = Buffer.from(text, 'base64');
      const token = Number(first) + index;
      tokens[token] = bytes;
      words.set(bytes.toString('latin1'), token);
    });
  }
  const largest = Math.max(tokens.length - 1, ...Object.values(special_tokens));
  return byteBpe({
    name: `${tiktokenPrefix}${encoding}`,
    identity: `${tiktokenPrefix}${encoding}`,
    tokens,
    vocabulary: Math.max(explicit_n_vocab, largest + 1),
    separator: special_tokens[separatorName],
    bytes: Int32Array.from({ length: 256 }, (_, byte) => words.get(String.fromCharCode(byte)) ?? 0),
    merges: mergesOf(tokens, words),
    wholeWords: words,
    patterns: [wordPattern(pattern)],
  });
}

/** Two tokens merge if together they are a token; its number is the rank. */
function mergesOf(tokens: readonly (Uint8Array | undefined)[], words: ReadonlyMap<string, number>): Merges {
  const texts = tokens.map((bytes) => (bytes ? Buffer.from(bytes).toString('latin1') : ''));
  return {
    rank: (left, right) => words.get(texts[left] + texts[right]) ?? -1,
    result: (rank) => rank,
  };
}

function readRanks(encoding: string): Ranks {
  const found: unknown = createRequire(import.meta.url)(`js-tiktoken/ranks/${encoding}`);
  const ranks = typeof found === 'object' && found !== null && 'default' in found ? found.default : found;
  return ranks as Ranks;
}
