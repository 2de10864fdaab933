/** Shards as a source of tokens: read from the files at the places asked for, never as a whole. */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { BraidError } from '../../graph/index.ts';
import { fileError } from '../../models/atomicFile.ts';
import type { TokenSource } from '../packing.ts';
import { encodeHeader, headerBytes, type TokenWidth } from './format.ts';
import type { Manifest, ShardInfo, Split } from './manifest.ts';
import { readManifest } from './manifest.ts';

const verifyBytes = 4 * 1024 * 1024;

/** The manifest of a finished preparation; anything else is a `BraidError('data')` that says what to do. */
export function finishedManifest(folder: string): Manifest {
  const manifest = readManifest(folder);
  if (!manifest) {
    throw new BraidError(
      'data',
      `'${folder}' holds no shards: it has no manifest.json. Give the folder that 'braid prepare' wrote to.`,
    );
  }
  if (manifest.place) {
    throw new BraidError(
      'data',
      `The shards in '${folder}' are not finished. Go on with the same 'braid prepare' command as before.`,
    );
  }
  return manifest;
}

/** All tokens of a split. The files stay open as long as the process lives. */
export function openShards(folder: string, manifest: Manifest, split: Split): TokenSource {
  const { width, tokenizer } = manifest;
  const shards = manifest.shards[split];
  const files = shards.map((shard) => openShard(folder, shard, width));
  const ends: number[] = [];
  for (const { tokens } of shards) ends.push((ends.at(-1) ?? 0) + tokens);
  const hash = createHash('sha256').update(tokenizer.identity);
  for (const { sha256 } of shards) hash.update(sha256);
  let raw = Buffer.alloc(0);
  return {
    count: ends.at(-1) ?? 0,
    separator: tokenizer.separator,
    bytes: shards.reduce((sum, { bytes }) => sum + bytes, 0),
    fingerprint: hash.digest('hex').slice(0, 32),
    read(begin, count, into, at) {
      if (raw.length < count * width) raw = Buffer.alloc(count * width);
      let shard = firstEndAfter(ends, begin);
      for (let done = 0; done < count; shard++) {
        const start = begin + done - (shard === 0 ? 0 : ends[shard - 1]);
        const take = Math.min(count - done, shards[shard].tokens - start);
        const bytes = raw.subarray(0, take * width);
        readFully(files[shard], bytes, headerBytes + start * width, join(folder, shards[shard].file));
        if (width === 2)
          for (let i = 0; i < take; i++) into[at + done + i] = bytes[2 * i] | (bytes[2 * i + 1] << 8);
        else for (let i = 0; i < take; i++) into[at + done + i] = bytes.readInt32LE(4 * i);
        done += take;
      }
    },
  };
}

/**
 * Reads every shard and compares it with its checksum. The first that differs, is shorter or missing is a
 * `BraidError('data')` that names it.
 */
export function verifyShards(
  folder: string,
  manifest: Manifest,
  onProgress: (bytes: number, total: number) => void = () => undefined,
): void {
  const shards = [...manifest.shards.train, ...manifest.shards.validation];
  const total = shards.reduce((sum, { tokens }) => sum + tokens * manifest.width, 0);
  const buffer = Buffer.alloc(Math.min(verifyBytes, Math.max(1, total)));
  let done = 0;
  for (const shard of shards) {
    const path = join(folder, shard.file);
    const file = openShard(folder, shard, manifest.width);
    try {
      const hash = createHash('sha256');
      const size = shard.tokens * manifest.width;
      for (let at = 0; at < size; at += buffer.length) {
        const part = buffer.subarray(0, Math.min(buffer.length, size - at));
        readFully(file, part, headerBytes + at, path);
        hash.update(part);
        done += part.length;
        onProgress(done, total);
      }
      const found = hash.digest('hex');
      if (found !== shard.sha256) {
        throw new BraidError(
          'data',
          `The shard '${path}' is damaged: its checksum is ${found.slice(0, 16)}…, but it should be ` +
            `${shard.sha256.slice(0, 16)}…. Restore it, or prepare the shards again in another folder.`,
        );
      }
    } finally {
      closeSync(file);
    }
  }
}

/** Opens a shard whose header and size are those of the manifest. */
function openShard(folder: string, shard: ShardInfo, width: TokenWidth): number {
  const path = join(folder, shard.file);
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw fileError('read', path, error);
  }
  const expected = headerBytes + shard.tokens * width;
  const { size } = fstatSync(file);
  if (size !== expected) {
    closeSync(file);
    throw new BraidError(
      'data',
      `The shard '${path}' has ${size} bytes, but its manifest says ${expected}. It is damaged or another one; ` +
        'restore it, or prepare the shards again in another folder.',
    );
  }
  const header = Buffer.alloc(headerBytes);
  readFully(file, header, 0, path);
  if (header.compare(encodeHeader(width, shard.tokens)) !== 0) {
    closeSync(file);
    throw new BraidError(
      'data',
      `The shard '${path}' does not begin with the header that its manifest asks for (${shard.tokens} tokens of ${width} ` +
        'bytes). It is damaged or another one; restore it, or prepare the shards again in another folder.',
    );
  }
  return file;
}

function readFully(file: number, into: Uint8Array, place: number, path: string): void {
  for (let done = 0; done < into.length; ) {
    let read: number;
    try {
      read = readSync(file, into, done, into.length - done, place + done);
    } catch (error) {
      throw fileError('read', path, error);
    }
    if (read === 0) {
      throw new BraidError('data', `The shard '${path}' became shorter while it was read. Restore it.`);
    }
    done += read;
  }
}

/** The number of the first shard that ends after a place. */
function firstEndAfter(ends: readonly number[], place: number): number {
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > place) high = middle;
    else low = middle + 1;
  }
  return low;
}
