/** `tokenizer.json` of Hugging Face: the parts that Braid reads itself. Everything else is for the library. */
import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { BraidError } from '../../graph/index.ts';
import { parseJson, readText } from '../../models/textFile.ts';

const addedTokenSchema = z.looseObject({
  id: z.int().nonnegative(),
  content: z.string(),
  special: z.boolean().default(false),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
});

const fileSchema = z.looseObject({
  model: z.looseObject({ type: z.string().optional() }),
  added_tokens: z.array(addedTokenSchema).default([]),
  normalizer: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
  decoder: z.unknown().optional(),
});

export type AddedToken = z.infer<typeof addedTokenSchema>;
export type TokenizerJson = z.infer<typeof fileSchema>;

export interface TokenizerFile {
  readonly path: string;
  readonly json: TokenizerJson;
  readonly identity: string;
}

/** The path of the file that a name means: the file itself, or `tokenizer.json` in a folder. */
export function tokenizerPath(name: string): string {
  const found = statSync(name, { throwIfNoEntry: false });
  const path = found?.isDirectory() ? join(name, 'tokenizer.json') : name;
  if (existsSync(path)) return path;
  throw new BraidError(
    'config',
    found
      ? `data.tokenizer: the folder '${name}' has no tokenizer.json. Give a folder or file that has one.`
      : `data.tokenizer: there is no tokenizer '${name}'. Known: 'bytes', 'none', 'tiktoken:NAME', or the path of a ` +
          'tokenizer.json, which does not exist here.',
  );
}

/** What stands in a path before `tokenizer.json`, or the name of the file. */
export function nameOf(path: string): string {
  return basename(path) === 'tokenizer.json' ? basename(dirname(path)) || path : basename(path);
}

/** Reads the file; one that is no tokenizer is a `BraidError('data')` that names it. */
export function readTokenizerFile(path: string): TokenizerFile {
  const text = readText(path);
  const value = parseJson(text, 'data', `'${path}' is not JSON, so no tokenizer.`);
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new BraidError(
      'data',
      `'${path}' is not a tokenizer.json of Hugging Face: ${issue.path.join('.') || 'the file'}: ${issue.message}.`,
    );
  }
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 32);
  return { path, json: parsed.data, identity: `tokenizer.json:${digest}` };
}

/** Names that end a document, the likeliest first. */
const separatorNames = [
  '<|endoftext|>',
  '<|end_of_text|>',
  '</s>',
  '<eos>',
  '<|eos|>',
  '<|end▁of▁sentence|>',
  '[EOS]',
  '[SEP]',
];

/** The token that separates documents: a special one for the end of a text, or else one more than the tokenizer has. */
export function separatorOf(added: readonly AddedToken[], vocabulary: number): number {
  const special = added.filter((token) => token.special);
  for (const name of separatorNames) {
    const found = special.find(({ content }) => content === name);
    if (found) return found.id;
  }
  return vocabulary;
}
