/** Writes the folder of a model as others read it: `config.json`, and safetensors in one file or several with an index. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Shape } from '../../graph/index.ts';
import { BraidError, elementCount } from '../../graph/index.ts';
import { fileError, writeFileAtomically } from '../atomicFile.ts';
import { floatToBfloat16, floatToHalf } from '../half.ts';
import type { TensorToWrite } from '../safetensors.ts';
import { writeSafetensors } from '../safetensors.ts';
import type { Expressed } from './express.ts';
import type { Json } from './fields.ts';
import type { MappedTensor } from './mapping.ts';
import { putPart } from './mapping.ts';

export type ExportType = 'float32' | 'float16' | 'bfloat16';

export const exportTypes: readonly ExportType[] = ['float32', 'bfloat16', 'float16'];

export interface ExportOptions {
  readonly dtype: ExportType;
  /** Most bytes of values in one file; a larger tensor has a file of its own. */
  readonly shardBytes: number;
  /** A `config.json` that the model came from: what it says beside the architecture, such as token ids, is kept. */
  readonly keep?: Json;
  /** Further files of the folder, by name, such as those of its tokenizer. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Keys that say nothing about the function that a model is. */
const inert =
  /_token_id$|^(max_position_embeddings|initializer_range|time_step_(min|max|floor|scale|init_scheme))$/;

/** What every file says of itself, as `transformers` expects it. */
const metadata = { format: 'pt' };

/**
 * Writes the files; `config.json` comes last, so that a folder with one is complete.
 * @param read values of one of our parameters, by name
 * @returns the names of the files with weights
 */
export async function writeFolder(
  folder: string,
  { json, tensors }: Pick<Expressed, 'json' | 'tensors'>,
  read: (name: string) => Promise<Float32Array>,
  options: ExportOptions,
): Promise<readonly string[]> {
  prepare(folder);
  const shards = cut(tensors, options);
  const readOnce = keepLast(read);
  const names = shards.map((_, index) => shardName(index, shards.length));
  for (const [index, shard] of shards.entries()) {
    const values: TensorToWrite[] = [];
    for (const tensor of shard) values.push(await assemble(tensor, readOnce, options.dtype));
    await writeSafetensors(join(folder, names[index]), values, { metadata });
  }
  if (shards.length > 1) {
    const weights = shards.flatMap((shard, index) => shard.map(({ from }) => [from, names[index]] as const));
    const total = tensors.reduce((sum, { shape }) => sum + bytesOf(shape, options.dtype), 0);
    const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(weights) };
    await writeJson(join(folder, 'model.safetensors.index.json'), index);
  }
  for (const [name, content] of Object.entries(options.files ?? {})) {
    await writeFileAtomically(join(folder, name), (file) => file.write(Buffer.from(content)));
  }
  const kept = Object.fromEntries(Object.entries(options.keep ?? {}).filter(([key]) => inert.test(key)));
  await writeJson(join(folder, 'config.json'), { ...kept, ...json, torch_dtype: options.dtype });
  return names;
}

function prepare(folder: string): void {
  const taken = ['config.json', 'model.safetensors', 'model.safetensors.index.json'].find((name) =>
    existsSync(join(folder, name)),
  );
  if (taken !== undefined) {
    throw new BraidError('usage', `'${folder}' already holds '${taken}'. Choose another folder.`);
  }
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw fileError('write', folder, error);
  }
}

/** Tensors in the order of their table, which keeps parts of one parameter together, cut into files. */
function cut(
  tensors: readonly MappedTensor[],
  { dtype, shardBytes }: ExportOptions,
): readonly MappedTensor[][] {
  const shards: MappedTensor[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor.shape, dtype);
    if (bytes > room || shards.length === 0) {
      shards.push([]);
      room = shardBytes;
    }
    shards.at(-1)?.push(tensor);
    room -= bytes;
  }
  return shards;
}

/** Keeps what was read last: the experts of a layer are slices of one parameter. */
function keepLast(read: (name: string) => Promise<Float32Array>): (name: string) => Promise<Float32Array> {
  let last: { readonly name: string; readonly values: Float32Array } | undefined;
  return async (name) => {
    if (last?.name !== name) last = { name, values: await read(name) };
    return last.values;
  };
}

function bytesOf(shape: Shape, dtype: ExportType): number {
  return elementCount(shape) * (dtype === 'float32' ? 4 : 2);
}

function shardName(index: number, count: number): string {
  if (count === 1) return 'model.safetensors';
  const five = (value: number): string => String(value).padStart(5, '0');
  return `model-${five(index + 1)}-of-${five(count)}.safetensors`;
}

async function assemble(
  whole: MappedTensor,
  read: (name: string) => Promise<Float32Array>,
  dtype: ExportType,
): Promise<TensorToWrite> {
  const values = new Float32Array(whole.rows * whole.columns);
  for (const part of whole.parts) putPart(values, whole, part, await read(part.name));
  if (dtype === 'float16') requireHalf(whole.from, values);
  const common = { name: whole.from, shape: whole.shape };
  switch (dtype) {
    case 'float32':
      return { ...common, dtype: 'F32', data: values };
    case 'bfloat16':
      return { ...common, dtype: 'BF16', data: Uint16Array.from(values, floatToBfloat16) };
    case 'float16':
      return { ...common, dtype: 'F16', data: Uint16Array.from(values, floatToHalf) };
  }
}

/** Half precision ends at 65504: a weight beyond it would become infinite. */
function requireHalf(name: string, values: Float32Array): void {
  const beyond = values.find((value) => Number.isFinite(value) && Math.abs(value) >= 65520);
  if (beyond === undefined) return;
  throw new BraidError(
    'unsupported',
    `'${name}' holds ${beyond}, which float16 cannot: it ends at 65504. Export as bfloat16 or float32.`,
  );
}

function writeJson(path: string, value: unknown): Promise<void> {
  return writeFileAtomically(path, (file) => file.write(Buffer.from(`${JSON.stringify(value, null, 2)}\n`)));
}
