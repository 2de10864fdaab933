/**
 * Any `tokenizer.json`. Byte-level BPE with a pattern that is known runs on Braid's encoder; everything else on the library
 * `@huggingface/tokenizers`, and says so (`encoder`).
 */
import { z } from 'zod';
import { BraidError } from '../../graph/index.ts';
import type { Tokenizer } from '../tokenizer.ts';
import { bytesOfToken, characterOfByte } from './byteAlphabet.ts';
import { type ByteBpeParts, byteBpe } from './byteBpe.ts';
import { libraryTokenizer } from './library.ts';
import { PairTable } from './pairTable.ts';
import { nameOf, readTokenizerFile, separatorOf, type TokenizerFile } from './tokenizerFile.ts';
import { digitsApart, gpt2Words, isKnownPattern, wordPattern } from './words.ts';

/** Older files lack some of the keys, and have empty texts for others. */
const absent = z.union([z.null(), z.literal('')]).optional();

/** A model that Braid's encoder can run. */
const bpeSchema = z.looseObject({
  type: z.literal('BPE').optional(),
  dropout: z.union([z.null(), z.literal(0)]).optional(),
  continuing_subword_prefix: absent,
  end_of_word_suffix: absent,
  byte_fallback: z.literal(false).optional(),
  ignore_merges: z.boolean().default(false),
  vocab: z.record(z.string(), z.int().nonnegative()),
  merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
});

const normalizerSchema = z.union([absent, z.looseObject({ type: z.literal('NFC') })]);

const byteLevel = z.looseObject({
  type: z.literal('ByteLevel'),
  add_prefix_space: z.literal(false),
  use_regex: z.boolean().default(true),
});
const split = z.looseObject({
  type: z.literal('Split'),
  pattern: z.strictObject({ Regex: z.string() }),
  behavior: z.literal('Isolated'),
  invert: z.literal(false),
});
const digits = z.looseObject({ type: z.literal('Digits'), individual_digits: z.literal(true) });
const sequence = z.looseObject({
  type: z.literal('Sequence'),
  pretokenizers: z.array(z.union([byteLevel, split, digits])).min(1),
});

/** Reads a tokenizer.json. */
export function huggingFaceTokenizer(path: string): Tokenizer {
  const file = readTokenizerFile(path);
  const parts = byteBpeParts(file);
  return parts ? byteBpe(parts) : libraryTokenizer(file);
}

/** The parts for Braid's encoder, or undefined when something in the file is not known to it. */
function byteBpeParts({ path, json, identity }: TokenizerFile): ByteBpeParts | undefined {
  const model = bpeSchema.safeParse(json.model);
  const patterns = patternsOf(json.pre_tokenizer);
  const normalizer = normalizerSchema.safeParse(json.normalizer);
  if (!model.success || !patterns || !normalizer.success) return undefined;
  const plain = json.added_tokens.filter(({ special }) => !special);
  if (plain.some((token) => token.single_word || token.lstrip || token.rstrip)) return undefined;
  const { vocab, merges, ignore_merges } = model.data;
  const names = new Map(Object.entries(vocab));
  const bytes = characterOfByte.map((character) => names.get(character) ?? -1);
  if (bytes.includes(-1)) return undefined;

  const tokens: (Uint8Array | undefined)[] = [];
  for (const [name, id] of names) tokens[id] = bytesOfToken(name);
  for (const { id, content, special } of json.added_tokens)
    tokens[id] = special ? undefined : Buffer.from(content);
  const ids = [...names.values(), ...json.added_tokens.map(({ id }) => id)];
  const largest = ids.reduce((most, id) => Math.max(most, id), 0);
  const separator = separatorOf(json.added_tokens, largest + 1);
  return {
    name: nameOf(path),
    identity,
    file: path,
    tokens,
    vocabulary: Math.max(largest, separator) + 1,
    separator,
    bytes: Int32Array.from(bytes),
    merges: readMerges(merges, names, path),
    ...(ignore_merges ? { wholeWords: wholeWordsOf(tokens, names) } : {}),
    patterns,
    added: new Map(plain.map(({ content, id }) => [content, id])),
    ...(normalizer.data ? { normalize: (text: string) => text.normalize('NFC') } : {}),
  };
}

/** How a pre-tokenizer cuts text into words, or undefined when it is none of those that are known. */
export function patternsOf(value: unknown): readonly RegExp[] | undefined {
  const one = byteLevel.safeParse(value);
  if (one.success) return one.data.use_regex ? [wordPattern(gpt2Words)] : undefined;
  const several = sequence.safeParse(value);
  if (!several.success) return undefined;
  const stages = several.data.pretokenizers;
  // Only the last one writes bytes in their alphabet: one after it would see that.
  const position = stages.findIndex(({ type }) => type === 'ByteLevel');
  if (position !== stages.length - 1) return undefined;
  const patterns: RegExp[] = [];
  for (const stage of stages) {
    if (stage.type === 'Digits') patterns.push(digitsApart);
    else if (stage.type === 'ByteLevel') {
      if (stage.use_regex) patterns.push(wordPattern(gpt2Words));
    } else if (isKnownPattern(stage.pattern.Regex)) patterns.push(wordPattern(stage.pattern.Regex));
    else return undefined;
  }
  return patterns;
}

function wholeWordsOf(
  tokens: readonly (Uint8Array | undefined)[],
  names: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const words = new Map<string, number>();
  for (const id of names.values()) {
    const bytes = tokens[id];
    if (bytes) words.set(Buffer.from(bytes).toString('latin1'), id);
  }
  return words;
}

function readMerges(
  list: readonly (string | readonly [string, string])[],
  names: ReadonlyMap<string, number>,
  path: string,
): ByteBpeParts['merges'] {
  const table = new PairTable(list.length);
  const results = new Int32Array(list.length);
  list.forEach((merge, rank) => {
    const [left = '', right = ''] = typeof merge === 'string' ? merge.split(' ') : merge;
    const ids = [left, right, left + right].map((name) => names.get(name));
    const [first, second, both] = ids;
    if (first === undefined || second === undefined || both === undefined) {
      throw new BraidError(
        'data',
        `'${path}': merge number ${rank} joins '${left}' and '${right}', but the vocabulary lacks one of them or ` +
          'their union. The file is damaged.',
      );
    }
    table.set(first, second, rank);
    results[rank] = both;
  });
  return { rank: (left, right) => table.get(left, right), result: (rank) => results[rank] };
}
