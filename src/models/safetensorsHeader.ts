/**
 * The header of a safetensors file: eight bytes with its length, JSON that gives each tensor a dtype, a shape and a
 * range of bytes, then the values back to back (https://huggingface.co/docs/safetensors, "Format").
 */
import { BraidError, elementCount, type Shape } from '../graph/index.ts';

/** Bytes per element of every dtype that the format knows. */
const elementBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
} as const;

export type SafetensorsType = keyof typeof elementBytes;

export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsType;
  readonly shape: Shape;
  /** Place of the values in the file, in bytes from its beginning. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: ReadonlyMap<string, TensorEntry>;
}

/** Headers above this size are taken for damage: the format's own readers have the same limit. */
export const maximumHeaderBytes = 100_000_000;

export function bytesPerElement(dtype: SafetensorsType): number {
  return elementBytes[dtype];
}

function isKnownType(value: unknown): value is SafetensorsType {
  return typeof value === 'string' && Object.hasOwn(elementBytes, value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function damaged(file: string, problem: string): BraidError {
  return new BraidError('file', `'${file}' is not a complete safetensors file: ${problem}`);
}

/**
 * Reads and checks a header. The values must fill the file exactly: overlapping, missing or spare bytes are errors that
 * name the file and the tensor.
 */
export function parseHeader(file: string, json: Uint8Array, fileBytes: number): SafetensorsHeader {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (error) {
    throw new BraidError('file', `'${file}' is not a safetensors file: its header is not JSON.`, {
      cause: error,
    });
  }
  if (!isObject(parsed)) throw damaged(file, 'its header is not a JSON object.');
  const dataStart = 8 + json.byteLength;
  const entries = new Map<string, TensorEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(parsed)) {
    if (name === '__metadata__') metadata = readMetadata(file, value);
    else entries.set(name, readEntry(file, name, value, dataStart));
  }
  checkCoverage(file, [...entries.values()], dataStart, fileBytes);
  return { metadata, entries };
}

function readMetadata(file: string, value: unknown): Record<string, string> {
  if (!isObject(value)) throw damaged(file, 'its metadata is not an object of strings.');
  const metadata: Record<string, string> = {};
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw damaged(file, `its metadata entry '${key}' is not a string.`);
    metadata[key] = text;
  }
  return metadata;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function readEntry(file: string, name: string, value: unknown, dataStart: number): TensorEntry {
  const fail = (problem: string): never => {
    throw damaged(file, `tensor '${name}' ${problem}`);
  };
  if (!isObject(value)) return fail('has no description.');
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isKnownType(dtype)) {
    return fail(`has dtype ${JSON.stringify(dtype)}. Known: ${Object.keys(elementBytes).join(', ')}.`);
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    return fail(`has shape ${JSON.stringify(shape)}; a list of whole numbers is expected.`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return fail(`has byte offsets ${JSON.stringify(offsets)}; [begin, end] is expected.`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = elementCount(shape) * elementBytes[dtype];
  if (end - begin !== expected) {
    return fail(
      `is ${dtype}[${shape.join(', ')}] and needs ${expected} bytes, but its offsets span ${end - begin}.`,
    );
  }
  return { name, dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

function checkCoverage(
  file: string,
  entries: readonly TensorEntry[],
  dataStart: number,
  fileBytes: number,
): void {
  const ordered = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = dataStart;
  let before = '';
  for (const entry of ordered) {
    if (entry.begin < position) throw damaged(file, `tensors '${before}' and '${entry.name}' overlap.`);
    if (entry.begin > position) {
      throw damaged(
        file,
        `${entry.begin - position} bytes before tensor '${entry.name}' belong to no tensor.`,
      );
    }
    position = entry.end;
    before = entry.name;
    if (position > fileBytes) {
      throw damaged(
        file,
        `it is truncated: tensor '${entry.name}' ends at byte ${position}, the file at byte ${fileBytes}.`,
      );
    }
  }
  if (position < fileBytes)
    throw damaged(file, `${fileBytes - position} bytes at its end belong to no tensor.`);
}

/** Lays out tensors one after the other in the given order and returns the header with its length, padded to 8 bytes. */
export function encodeHeader(
  tensors: readonly { readonly name: string; readonly dtype: SafetensorsType; readonly shape: Shape }[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (Object.hasOwn(header, name)) {
      throw new BraidError('file', `Two tensors named '${name}' cannot be written to one file.`);
    }
    const end = offset + elementCount(shape) * elementBytes[dtype];
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, 8);
  return bytes;
}
