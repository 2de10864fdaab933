/** Folders of models for tests, made from the golden files. */
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { floatToBfloat16, floatToHalf } from '../half.ts';
import type { TensorToWrite } from '../safetensors.ts';
import { SafetensorsFile, writeSafetensors } from '../safetensors.ts';
import type { Json } from './fields.ts';
import { families } from './registry.ts';

const fixtures = fileURLToPath(new URL('../../../test/fixtures/golden/', import.meta.url));

/** The path of a golden file: `mamba/mamba_tied`. */
export function goldenFile(name: string): string {
  return `${fixtures}${name}.safetensors`;
}

/** Golden files of families that read them, as `goldenFile` takes them. */
export function goldenFiles(): readonly string[] {
  return families.flatMap(({ name }) => {
    const files = existsSync(fixtures + name) ? readdirSync(fixtures + name) : [];
    return files.map((file) => `${name}/${file.replace('.safetensors', '')}`);
  });
}

export interface Material {
  readonly config: Json;
  readonly tensors: readonly TensorToWrite[];
}

/** The configuration and the weights of a golden file, as float32. */
export async function material(path: string): Promise<Material> {
  const file = await SafetensorsFile.open(path);
  try {
    const tensors: TensorToWrite[] = [];
    for (const { name, shape } of file.entries.values()) {
      if (!name.startsWith('weights.')) continue;
      const data = await file.readFloat32(name);
      tensors.push({ name: name.slice('weights.'.length), dtype: 'F32', shape, data });
    }
    return { config: JSON.parse(file.metadata.hf_config ?? '{}') as Json, tensors };
  } finally {
    await file.close();
  }
}

export async function emptyFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'braid-interchange-'));
}

/** Writes a folder as others do: one file, or one per tensor with an index. */
export async function writeMaterial({ config, tensors }: Material, sharded = false): Promise<string> {
  const folder = await emptyFolder();
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  if (!sharded) {
    await writeSafetensors(join(folder, 'model.safetensors'), tensors);
    return folder;
  }
  const weights: Record<string, string> = {};
  for (const [index, tensor] of tensors.entries()) {
    const name = `model-${index}.safetensors`;
    weights[tensor.name] = name;
    await writeSafetensors(join(folder, name), [tensor]);
  }
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weights }));
  return folder;
}

/** The same values in 16 bits. */
export function narrowed(tensor: TensorToWrite, dtype: 'F16' | 'BF16'): TensorToWrite {
  const convert = dtype === 'F16' ? floatToHalf : floatToBfloat16;
  return { ...tensor, dtype, data: Uint16Array.from(tensor.data as Float32Array, convert) };
}
