import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FileSystem } from './atomicFile.ts';
import { nodeFileSystem } from './atomicFile.ts';
import { SafetensorsFile, writeSafetensors } from './safetensors.ts';

async function place(name = 'model.safetensors'): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), 'braid-safetensors-')), name);
}

/** A file with any header, to see what the reader says about it. */
async function crafted(header: unknown, dataBytes: number): Promise<string> {
  const path = await place();
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.byteLength + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  bytes.set(json, 8);
  await writeFile(path, bytes);
  return path;
}

const two = [
  { name: 'a', dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, -6.5) },
  { name: 'b', dtype: 'I64', shape: [2], data: BigInt64Array.of(7n, -8n) },
  { name: 'c', dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3f80, 0xc000) },
  { name: 'd', dtype: 'F16', shape: [4], data: Uint16Array.of(0x3c00, 0x0001, 0xfc00, 0xc100) },
  { name: 'e', dtype: 'F64', shape: [1], data: Float64Array.of(0.5) },
] as const;

describe('safetensors', () => {
  it('reads back what was written', async () => {
    const path = await place();
    await writeSafetensors(path, two, { metadata: { note: 'ü' } });
    const file = await SafetensorsFile.open(path);
    expect(file.metadata).toEqual({ note: 'ü' });
    expect([...file.entries.keys()]).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(await file.readFloat32('a', [2, 3])).toEqual(two[0].data);
    expect(await file.readInt32('b')).toEqual(Int32Array.of(7, -8));
    expect(await file.readFloat32('c')).toEqual(Float32Array.of(1, -2));
    expect(await file.readFloat32('d')).toEqual(Float32Array.of(1, 2 ** -24, Number.NEGATIVE_INFINITY, -2.5));
    expect(await file.readFloat32('e')).toEqual(Float32Array.of(0.5));
    const target = new Uint16Array(2);
    await file.readInto('c', 'BF16', target);
    expect(target).toEqual(two[2].data);
    await file.close();
  });

  it('names file and tensor when a request does not fit', async () => {
    const path = await place();
    await writeSafetensors(path, [
      ...two,
      { name: 'far', dtype: 'I64', shape: [1], data: BigInt64Array.of(2n ** 40n) },
    ]);
    const file = await SafetensorsFile.open(path);
    await expect(file.readFloat32('z')).rejects.toThrow(/model\.safetensors' has no tensor 'z'/);
    await expect(file.readFloat32('a', [3, 2])).rejects.toThrow(
      /'a' in .* has shape \[2, 3\]; \[3, 2\] is needed/,
    );
    await expect(file.readFloat32('b')).rejects.toThrow(/'b' in .* is I64; F32, BF16/);
    await expect(file.readInt32('a')).rejects.toThrow(/'a' in .* is F32; I64/);
    await expect(file.readInto('a', 'F32', new Float32Array(5))).rejects.toThrow(/24 bytes; 20 are needed/);
    await expect(file.readFloat32('e', [1], new Float32Array(2))).rejects.toThrow(
      /has 1 values; 2 are needed/,
    );
    await expect(file.readInt32('far')).rejects.toThrow(/'far' in .* holds 1099511627776/);
    await file.close();
  });

  it.each([
    ['not JSON', '{', 0, /header is not JSON/],
    ['a list', [], 0, /not a JSON object/],
    ['an unknown dtype', { a: { dtype: 'F31', shape: [], data_offsets: [0, 4] } }, 4, /'a' has dtype "F31"/],
    ['a bad shape', { a: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } }, 4, /'a' has shape \[-1\]/],
    [
      'a wrong size',
      { a: { dtype: 'F32', shape: [2], data_offsets: [0, 4] } },
      4,
      /needs 8 bytes, .* span 4/,
    ],
    [
      'truncated values',
      { a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } },
      4,
      /truncated: tensor 'a'/,
    ],
    ['spare bytes', { a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, 8, /4 bytes at its end/],
    [
      'an overlap',
      {
        a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
        b: { dtype: 'F32', shape: [1], data_offsets: [4, 8] },
      },
      8,
      /'a' and 'b' overlap/,
    ],
    ['a gap', { a: { dtype: 'F32', shape: [1], data_offsets: [4, 8] } }, 8, /4 bytes before tensor 'a'/],
    ['metadata of numbers', { __metadata__: { x: 1 } }, 0, /metadata entry 'x' is not a string/],
  ])('refuses %s', async (_, header, bytes, message) => {
    const path = await crafted(header, bytes);
    await expect(SafetensorsFile.open(path)).rejects.toThrow(message);
  });

  it('refuses a header that is cut off, absurd or missing', async () => {
    const path = await place();
    await writeSafetensors(path, two);
    const whole = await readFile(path);
    await writeFile(path, whole.subarray(0, 40));
    await expect(SafetensorsFile.open(path)).rejects.toThrow(/truncated: the header needs/);
    await writeFile(path, whole.subarray(0, 3));
    await expect(SafetensorsFile.open(path)).rejects.toThrow(/has 3 bytes/);
    await writeFile(path, new Uint8Array(16).fill(255));
    await expect(SafetensorsFile.open(path)).rejects.toThrow(/header claims/);
    await expect(SafetensorsFile.open(`${path}.none`)).rejects.toThrow(/no such file/);
  });

  it('refuses values of the wrong size and a name given twice', async () => {
    const path = await place();
    const tensor = { name: 'a', dtype: 'F32', shape: [2], data: new Float32Array(2) } as const;
    await expect(writeSafetensors(path, [{ ...tensor, shape: [3] }])).rejects.toThrow(
      /needs 12 bytes; given 8/,
    );
    await expect(writeSafetensors(path, [tensor, tensor])).rejects.toThrow(/Two tensors named 'a'/);
  });

  it('keeps the old file and leaves no rest when writing fails', async () => {
    const path = await place();
    await writeSafetensors(path, two);
    const before = await readFile(path);
    const full: FileSystem = {
      ...nodeFileSystem,
      async openForWriting(name) {
        const file = await nodeFileSystem.openForWriting(name);
        let calls = 0;
        return {
          ...file,
          async write(bytes) {
            if (++calls === 3) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
            await file.write(bytes);
          },
        };
      },
    };
    await expect(writeSafetensors(path, two, { files: full })).rejects.toThrow(
      /Cannot write '.*model\.safetensors': the disk is full/,
    );
    expect(await readFile(path)).toEqual(before);
    expect(await readdir(join(path, '..'))).toEqual(['model.safetensors']);
  });

  it('says why a folder cannot be written', async () => {
    await expect(writeSafetensors('/no/such/folder/x.safetensors', two)).rejects.toThrow(
      /no such file or folder/,
    );
  });
});
