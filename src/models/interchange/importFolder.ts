/** Opens the folder of a model that others wrote (`config.json` and safetensors), all of it checked before a value is read. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ParameterSpec } from '../../nn/index.ts';
import { fileError } from '../atomicFile.ts';
import type { ModelConfig } from '../config.ts';
import { parseFields } from './fields.ts';
import { understand } from './foreignModel.ts';
import type { MappedTensor } from './mapping.ts';
import { takePart } from './mapping.ts';
import { TensorSource } from './tensorSource.ts';

/** The name under which a run keeps the `config.json` that it was made from. */
export const IMPORTED_CONFIG = 'imported.json';

export interface OpenedModel {
  readonly family: string;
  readonly config: ModelConfig;
  readonly parameters: readonly ParameterSpec[];
  /** Fills one array per parameter, by name. */
  read(target: (name: string) => Float32Array | Float64Array): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a folder. Throws `BraidError('file')` for a configuration that Braid cannot have, for missing, extra or misshapen
 * tensors, for types that it cannot read and for damaged files; the message names the file and the key or tensor.
 */
export async function openFolder(folder: string): Promise<OpenedModel> {
  const { family, config, parameters, tensors } = understand(readFields(folder));
  const source = await TensorSource.open(folder);
  try {
    source.check(tensors, family.ignored);
  } catch (error) {
    await source.close();
    throw error;
  }
  return {
    family: family.name,
    config,
    parameters,
    read: (target) => readTensors(source, tensors, target),
    close: () => source.close(),
  };
}

function readFields(folder: string): ReturnType<typeof parseFields> {
  const path = join(folder, 'config.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError('read', path, error);
  }
  return parseFields(path, text);
}

/** Copies every tensor into the parameters that it holds. */
export async function readTensors(
  source: TensorSource,
  tensors: readonly MappedTensor[],
  target: (name: string) => Float32Array | Float64Array,
): Promise<void> {
  for (const whole of tensors) {
    const values = await source.read(whole.from, whole.copies);
    for (const part of whole.parts) takePart(values, whole, part, target(part.name));
  }
}
