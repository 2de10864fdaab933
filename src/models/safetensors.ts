/** Reading and writing safetensors files, one tensor at a time: the file is never whole in memory. */
import { type FileHandle, open } from 'node:fs/promises';
import { BraidError, elementCount, type Shape, sameShape } from '../graph/index.ts';
import type { FileSystem } from './atomicFile.ts';
import { fileError, nodeFileSystem, writeFileAtomically } from './atomicFile.ts';
import { halfToFloat } from './half.ts';
import type { SafetensorsType, TensorEntry } from './safetensorsHeader.ts';
import {
  bytesPerElement,
  damaged,
  encodeHeader,
  maximumHeaderBytes,
  parseHeader,
} from './safetensorsHeader.ts';

export type { SafetensorsType, TensorEntry } from './safetensorsHeader.ts';

export interface TensorToWrite {
  readonly name: string;
  readonly dtype: SafetensorsType;
  readonly shape: Shape;
  /** The values as the format stores them: row-major, little-endian, BF16 as its bits. */
  readonly data: ArrayBufferView;
}

/**
 * Writes tensors in the given order, atomically (see `writeFileAtomically`). Errors are `BraidError('file')`; a value
 * array of the wrong size is one too.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  options: { readonly metadata?: Readonly<Record<string, string>>; readonly files?: FileSystem } = {},
): Promise<void> {
  for (const { name, dtype, shape, data } of tensors) {
    const expected = elementCount(shape) * bytesPerElement(dtype);
    if (data.byteLength !== expected) {
      throw new BraidError(
        'file',
        `Tensor '${name}' for '${path}' is ${dtype}[${shape.join(', ')}] and needs ${expected} bytes; given ${data.byteLength}.`,
      );
    }
  }
  const header = encodeHeader(tensors, options.metadata ?? {});
  await writeFileAtomically(
    path,
    async (file) => {
      await file.write(header);
      for (const { data } of tensors) {
        await file.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      }
    },
    options.files ?? nodeFileSystem,
  );
}

/** Elements converted at a time when the stored dtype is not the one asked for. */
const pieceElements = 1 << 20;

type Convert<T> = (bytes: DataView, element: number) => T;

const floatReaders: Partial<Record<SafetensorsType, Convert<number>>> = {
  F64: (bytes, element) => bytes.getFloat64(element * 8, true),
  F32: (bytes, element) => bytes.getFloat32(element * 4, true),
  F16: (bytes, element) => halfToFloat(bytes.getUint16(element * 2, true)),
};

const integerReaders: Partial<Record<SafetensorsType, Convert<number>>> = {
  I64: (bytes, element) => Number(bytes.getBigInt64(element * 8, true)),
  I32: (bytes, element) => bytes.getInt32(element * 4, true),
  I16: (bytes, element) => bytes.getInt16(element * 2, true),
  U8: (bytes, element) => bytes.getUint8(element),
};

/** An open file. Close it when done. */
export class SafetensorsFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** What the file holds, by name. */
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly #handle: FileHandle;

  private constructor(
    path: string,
    handle: FileHandle,
    metadata: Readonly<Record<string, string>>,
    entries: ReadonlyMap<string, TensorEntry>,
  ) {
    this.path = path;
    this.metadata = metadata;
    this.entries = entries;
    this.#handle = handle;
  }

  /** Opens a file and checks its header against its size. Throws `BraidError('file')`. */
  static async open(path: string): Promise<SafetensorsFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, 'r');
      const { size } = await handle.stat();
      if (size < 8) throw damaged(path, `it has ${size} bytes, fewer than the length of a header.`);
      const length = new DataView((await readBytes(path, handle, 0, 8)).buffer).getBigUint64(0, true);
      if (length > BigInt(maximumHeaderBytes)) {
        throw damaged(path, `its header claims ${length} bytes, the limit is ${maximumHeaderBytes}.`);
      }
      if (8 + Number(length) > size) {
        throw damaged(path, `it is truncated: the header needs ${length} bytes, the file has ${size}.`);
      }
      const header = parseHeader(path, await readBytes(path, handle, 8, Number(length)), size);
      return new SafetensorsFile(path, handle, header.metadata, header.entries);
    } catch (error) {
      await handle?.close();
      throw fileError('read', path, error);
    }
  }

  /** The entry of that name, of that shape if one is given. */
  entry(name: string, shape?: Shape): TensorEntry {
    const entry = this.entries.get(name);
    if (!entry) {
      throw new BraidError(
        'file',
        `'${this.path}' has no tensor '${name}'. It holds ${this.entries.size} others.`,
      );
    }
    if (shape && !sameShape(entry.shape, shape)) {
      throw new BraidError(
        'file',
        `Tensor '${name}' in '${this.path}' has shape [${entry.shape.join(', ')}]; [${shape.join(', ')}] is needed.`,
      );
    }
    return entry;
  }

  /** Copies the stored bytes into `target`, which must have the tensor's dtype and size: no conversion. */
  async readInto(name: string, dtype: SafetensorsType, target: ArrayBufferView): Promise<void> {
    const entry = this.entry(name);
    if (entry.dtype !== dtype) throw this.#wrongType(entry, [dtype]);
    if (entry.end - entry.begin !== target.byteLength) {
      throw new BraidError(
        'file',
        `Tensor '${name}' in '${this.path}' has ${entry.end - entry.begin} bytes; ${target.byteLength} are needed.`,
      );
    }
    await this.#fill(entry.begin, new Uint8Array(target.buffer, target.byteOffset, target.byteLength));
  }

  /** Reads F32, BF16, F16 or F64 values as float32, into `target` when one is given. */
  async readFloat32(name: string, shape?: Shape, target?: Float32Array): Promise<Float32Array> {
    const entry = this.entry(name, shape);
    const values = target ?? new Float32Array(elementCount(entry.shape));
    if (entry.dtype === 'F32') {
      await this.readInto(name, 'F32', values);
      return values;
    }
    if (entry.dtype === 'BF16') {
      const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
      await this.#convert(entry, bits, (bytes, element) => bytes.getUint16(element * 2, true) << 16);
      return values;
    }
    const convert = floatReaders[entry.dtype];
    if (!convert) throw this.#wrongType(entry, ['F32', 'BF16', 'F16', 'F64']);
    await this.#convert(entry, values, convert);
    return values;
  }

  /** Reads I64, I32, I16 or U8 values as int32. A value outside its range is an error. */
  async readInt32(name: string, shape?: Shape): Promise<Int32Array> {
    const entry = this.entry(name, shape);
    const convert = integerReaders[entry.dtype];
    if (!convert) throw this.#wrongType(entry, ['I64', 'I32', 'I16', 'U8']);
    const values = new Int32Array(elementCount(entry.shape));
    await this.#convert(entry, values, (bytes, element) => {
      const value = convert(bytes, element);
      if (value === (value | 0)) return value;
      throw new BraidError('file', `Tensor '${name}' in '${this.path}' holds ${value}, which int32 cannot.`);
    });
    return values;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #convert(
    entry: TensorEntry,
    target: Float32Array | Int32Array | Uint32Array,
    convert: Convert<number>,
  ): Promise<void> {
    const size = bytesPerElement(entry.dtype);
    if (target.length * size !== entry.end - entry.begin) {
      throw new BraidError(
        'file',
        `Tensor '${entry.name}' in '${this.path}' has ${(entry.end - entry.begin) / size} values; ${target.length} are needed.`,
      );
    }
    const piece = new Uint8Array(Math.min(pieceElements, target.length) * size);
    const view = new DataView(piece.buffer);
    for (let start = 0; start < target.length; start += pieceElements) {
      const count = Math.min(pieceElements, target.length - start);
      await this.#fill(entry.begin + start * size, piece.subarray(0, count * size));
      for (let element = 0; element < count; element++) target[start + element] = convert(view, element);
    }
  }

  async #fill(position: number, target: Uint8Array): Promise<void> {
    try {
      await fill(this.path, this.#handle, position, target);
    } catch (error) {
      throw fileError('read', this.path, error);
    }
  }

  #wrongType(entry: TensorEntry, allowed: readonly SafetensorsType[]): BraidError {
    return new BraidError(
      'file',
      `Tensor '${entry.name}' in '${this.path}' is ${entry.dtype}; ${allowed.join(', ')} can be read here.`,
    );
  }
}

async function readBytes(
  path: string,
  handle: FileHandle,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  await fill(path, handle, position, bytes);
  return bytes;
}

/** One read call takes at most this much: the operating system's own limit is just below 2 GiB. */
const readBytesAtOnce = 64 * 1024 * 1024;

async function fill(path: string, handle: FileHandle, position: number, target: Uint8Array): Promise<void> {
  let done = 0;
  while (done < target.byteLength) {
    const length = Math.min(readBytesAtOnce, target.byteLength - done);
    const { bytesRead } = await handle.read(target, done, length, position + done);
    if (bytesRead === 0)
      throw damaged(path, `it ends at byte ${position + done}; more was promised by its header.`);
    done += bytesRead;
  }
}
