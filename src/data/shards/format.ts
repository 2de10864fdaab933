/**
 * A shard: tokens in a file, little-endian, behind a header of 32 bytes.
 *
 *     bytes  0 …  7   "BRAIDTOK"
 *            8 … 11   version, 1
 *           12 … 15   bytes of a token, 2 or 4
 *           16 … 23   tokens
 *           24 … 31   zero
 *
 * The shards of a folder, one behind the other, are one stream as data/packing.ts describes it. A shard may begin in the
 * middle of a document.
 */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileError, nodeFileSystem, partialName } from '../../models/atomicFile.ts';
import type { EncodedPart, TokenArray } from './encode.ts';
import type { ShardInfo } from './manifest.ts';

export const headerBytes = 32;
export const magic = 'BRAIDTOK';
export const formatVersion = 1;

export type TokenWidth = 2 | 4;

/** Bytes of a token when there are so many different ones. */
export function widthFor(vocabulary: number): TokenWidth {
  return vocabulary <= 0x10000 ? 2 : 4;
}

export function encodeHeader(width: TokenWidth, tokens: number): Uint8Array {
  const header = Buffer.alloc(headerBytes);
  header.write(magic, 0, 'latin1');
  header.writeUInt32LE(formatVersion, 8);
  header.writeUInt32LE(width, 12);
  header.writeBigUInt64LE(BigInt(tokens), 16);
  return header;
}

/** Writes one shard under a temporary name; it gets its own when it is complete and on the disk. */
export class ShardWriter {
  readonly #path: string;
  readonly #name: string;
  readonly #width: TokenWidth;
  readonly #hash: Hash = createHash('sha256');
  #file: FileHandle | undefined;
  #tokens = 0;
  #documents = 0;
  #bytes = 0;

  constructor(folder: string, name: string, width: TokenWidth) {
    this.#path = join(folder, name);
    this.#name = name;
    this.#width = width;
  }

  get tokens(): number {
    return this.#tokens;
  }

  async append({ tokens, documents, bytes }: EncodedPart): Promise<void> {
    if (tokens.length === 0) return;
    try {
      this.#file ??= await open(partialName(this.#path), 'w');
      const raw = littleEndian(tokens);
      this.#hash.update(raw);
      let place = headerBytes + this.#tokens * this.#width;
      for (let done = 0; done < raw.length; ) {
        const { bytesWritten } = await this.#file.write(raw, done, raw.length - done, place);
        done += bytesWritten;
        place += bytesWritten;
      }
    } catch (error) {
      throw fileError('write', this.#path, error);
    }
    this.#tokens += tokens.length;
    this.#documents += documents;
    this.#bytes += bytes;
  }

  /** Completes the file and tells what is in it; undefined when there is nothing and no file. */
  async close(): Promise<ShardInfo | undefined> {
    if (!this.#file) return undefined;
    try {
      await this.#file.write(encodeHeader(this.#width, this.#tokens), 0, headerBytes, 0);
      await this.#file.sync();
      await this.#file.close();
      this.#file = undefined;
      await rename(partialName(this.#path), this.#path);
      await nodeFileSystem.syncFolder(dirname(this.#path));
    } catch (error) {
      throw fileError('write', this.#path, error);
    }
    return {
      file: this.#name,
      tokens: this.#tokens,
      documents: this.#documents,
      bytes: this.#bytes,
      sha256: this.#hash.digest('hex'),
    };
  }

  /** Takes the incomplete file away. */
  async discard(): Promise<void> {
    if (!this.#file) return;
    await this.#file.close().catch(() => undefined);
    this.#file = undefined;
    await rm(partialName(this.#path), { force: true });
  }
}

const machineIsLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The bytes of tokens as they stand in a file. */
function littleEndian(tokens: TokenArray): Buffer {
  const raw = Buffer.from(tokens.buffer, tokens.byteOffset, tokens.byteLength);
  if (machineIsLittleEndian) return raw;
  return tokens instanceof Uint16Array ? Buffer.from(raw).swap16() : Buffer.from(raw).swap32();
}
