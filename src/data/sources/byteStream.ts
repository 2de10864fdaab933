/** The bytes of a file, unpacked on the way, from any place and never all at once. */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { Decompress } from 'fzstd';
import { BraidError } from '../../graph/index.ts';
import { fileError } from '../../models/atomicFile.ts';
import type { InputFile } from './files.ts';

const chunkBytes = 1024 * 1024;

export interface ByteStreamOptions {
  /** Byte of the unpacked file to begin with. */
  readonly from?: number;
  /** Called with the bytes read from the disk. */
  readonly onRead?: (bytes: number) => void;
}

/**
 * The unpacked bytes in pieces. Plain files are entered at `from` at once; packed ones are unpacked up to there. A file that
 * is damaged or ends too early is a `BraidError('data')` that names it.
 */
export async function* byteStream(
  { path, compression }: Pick<InputFile, 'path' | 'compression'>,
  { from = 0, onRead = () => undefined }: ByteStreamOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  if (compression === 'none') {
    onRead(from);
    yield* counted(path, from, onRead);
    return;
  }
  const packed = counted(path, 0, onRead);
  let skip = from;
  for await (const bytes of compression === 'gzip' ? gunzip(packed, path) : unzstd(packed, path)) {
    if (bytes.length > skip) yield skip > 0 ? bytes.subarray(skip) : bytes;
    skip = Math.max(0, skip - bytes.length);
  }
}

async function* counted(
  path: string,
  start: number,
  onRead: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of createReadStream(path, { start, highWaterMark: chunkBytes })) {
      onRead((chunk as Buffer).length);
      yield chunk as Buffer;
    }
  } catch (error) {
    throw fileError('read', path, error);
  }
}

async function* gunzip(
  packed: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const stream = createGunzip({ chunkSize: chunkBytes });
  const feed = async (): Promise<void> => {
    try {
      for await (const chunk of packed) {
        if (stream.destroyed) return;
        if (!stream.write(chunk)) {
          await new Promise<void>((resolve) => {
            stream.once('drain', resolve).once('close', resolve);
          });
        }
      }
      stream.end();
    } catch (error) {
      stream.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
  const feeding = feed();
  try {
    for await (const bytes of stream) yield bytes as Buffer;
    await feeding;
  } catch (error) {
    throw damaged(path, 'gzip', error);
  } finally {
    stream.destroy();
  }
}

async function* unzstd(
  packed: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const ready: Uint8Array[] = [];
  const stream = new Decompress((bytes) => {
    // Without a copy: the decoder hands out a part of a buffer that it writes to again.
    if (bytes.length > 0) ready.push(bytes.slice());
  });
  try {
    for await (const chunk of packed) {
      stream.push(chunk);
      yield* ready.splice(0);
    }
    stream.push(new Uint8Array(0), true);
  } catch (error) {
    throw damaged(path, 'zstd', error);
  }
  yield* ready;
}

function damaged(path: string, kind: string, cause: unknown): BraidError {
  if (cause instanceof BraidError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BraidError(
    'data',
    `'${path}' cannot be unpacked as ${kind} (${reason}). It is damaged, incomplete or something else; fetch it again.`,
    { cause },
  );
}
