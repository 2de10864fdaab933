/** What is in a folder of shards and how it came there: `manifest.json`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { BraidError } from '../../graph/index.ts';
import { writeFileAtomically } from '../../models/atomicFile.ts';
import { parseJson, readText } from '../../models/textFile.ts';
import { formats } from '../sources/files.ts';
import { placeSchema } from './place.ts';

const FORMAT = 'braid-shards-1';
const FILE = 'manifest.json';
const count = z.int().nonnegative();

const shardSchema = z.strictObject({
  file: z.string(),
  /** Separators included. */
  tokens: count,
  /** Documents that begin in it. */
  documents: count,
  /** Bytes of text. */
  bytes: count,
  /** Of the tokens, without the header. */
  sha256: z.string(),
});

const settingsSchema = z.strictObject({
  inputs: z.array(
    z.strictObject({
      path: z.string(),
      format: z.enum(formats),
      compression: z.enum(['none', 'gzip', 'zstd']),
      size: count,
      modified: z.number(),
    }),
  ),
  field: z.string(),
  validateEvery: z.int().min(2),
  shardTokens: z.int().positive(),
});

const manifestSchema = z.strictObject({
  format: z.literal(FORMAT),
  tokenizer: z.strictObject({
    name: z.string(),
    /** Two tokenizers with the same identity give the same tokens. */
    identity: z.string(),
    vocabulary: z.int().positive(),
    separator: count,
    /** Its file in this folder, where it has one. */
    file: z.string().optional(),
  }),
  /** Bytes of a token. */
  width: z.union([z.literal(2), z.literal(4)]),
  settings: settingsSchema,
  /** Bytes of the parts that too few documents were cut into. */
  partBytes: z.int().positive().optional(),
  shards: z.strictObject({ train: z.array(shardSchema), validation: z.array(shardSchema) }),
  /** Where an unfinished preparation goes on; absent when it is finished. */
  place: placeSchema.optional(),
});

export type ShardInfo = z.infer<typeof shardSchema>;
export type ShardSettings = z.infer<typeof settingsSchema>;
export type Manifest = z.infer<typeof manifestSchema>;
export type Split = keyof Manifest['shards'];

export const manifestFormat: typeof FORMAT = FORMAT;

/** The manifest of a folder; undefined when it has none. One that cannot be read is a `BraidError('data')`. */
export function readManifest(folder: string): Manifest | undefined {
  const path = join(folder, FILE);
  if (!existsSync(path)) return undefined;
  const message = `'${path}' is damaged. Prepare the shards again.`;
  const value = parseJson(readText(path), 'data', message);
  const parsed = manifestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new BraidError(
    'data',
    `'${path}' does not describe shards of this version: ${issue.path.join('.')}: ${issue.message}. ` +
      'Prepare the shards again.',
  );
}

export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  await writeFileAtomically(join(folder, FILE), (file) => file.write(Buffer.from(text)));
}
