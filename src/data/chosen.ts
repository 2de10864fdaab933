/** Which tokenizer a configuration of data means, and whether it is the one that a run or its shards were made with. */
import { join } from 'node:path';
import { BraidError } from '../graph/index.ts';
import type { Manifest } from './shards/manifest.ts';
import { finishedManifest } from './shards/source.ts';
import { findTokenizer, type Tokenizer, tokenizerOfTheShards } from './tokenizer.ts';

export interface WeightedFolder {
  readonly folder: string;
  /** Its share of the rows, relative to the others. */
  readonly weight: number;
}

export interface TokenizerChoice {
  /** As `findTokenizer` takes it, or `shards`: the one that the shards were made with. */
  readonly tokenizer: string;
  readonly shards?: string | readonly WeightedFolder[] | undefined;
  /** What the run has kept of its tokenizer. */
  readonly tokenizerIdentity?: string | undefined;
}

export function shardFolders(shards: string | readonly WeightedFolder[]): readonly WeightedFolder[] {
  return typeof shards === 'string' ? [{ folder: shards, weight: 1 }] : shards;
}

/** The tokenizer of a run. One that is not that of its shards, or not the one it began with, is a `BraidError('data')`. */
export function tokenizerOf({ tokenizer: name, shards, tokenizerIdentity }: TokenizerChoice): Tokenizer {
  const made = shardFolders(shards ?? []).map(({ folder }) =>
    tokenizerOfShards(folder, finishedManifest(folder)),
  );
  if (name === tokenizerOfTheShards && made.length === 0) {
    throw new BraidError(
      'config',
      "data.tokenizer is 'shards', but there are no shards. Give data.shards, or name a tokenizer.",
    );
  }
  const tokenizer = name === tokenizerOfTheShards ? made[0] : findTokenizer(name);
  for (const [index, { identity, name: other }] of made.entries()) {
    if (identity === tokenizer.identity) continue;
    throw new BraidError(
      'data',
      `The shards in '${shardFolders(shards ?? [])[index].folder}' were made with the tokenizer '${other}', not with ` +
        `'${tokenizer.name}'. Prepare the text again with one tokenizer for all.`,
    );
  }
  if (tokenizerIdentity !== undefined && tokenizerIdentity !== tokenizer.identity) {
    throw new BraidError(
      'data',
      `The tokenizer '${tokenizer.name}' is not the one that this run began with (${short(tokenizerIdentity)}, now ` +
        `${short(tokenizer.identity)}): its tokens would mean something else. Restore the tokenizer, or begin a new run.`,
    );
  }
  return tokenizer;
}

function tokenizerOfShards(folder: string, manifest: Manifest): Tokenizer {
  const { name, file, identity } = manifest.tokenizer;
  const tokenizer = findTokenizer(file === undefined ? name : join(folder, file));
  if (tokenizer.identity === identity) return tokenizer;
  throw new BraidError(
    'data',
    `The tokenizer in '${folder}' is not the one that the shards there were made with (${short(identity)}, now ` +
      `${short(tokenizer.identity)}). Restore its file, or prepare the shards again.`,
  );
}

function short(identity: string): string {
  return identity.length > 24 ? `${identity.slice(0, 24)}…` : identity;
}
