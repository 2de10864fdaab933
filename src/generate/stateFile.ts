/**
 * A session's state as a file: its tensors as safetensors, and in the header, as JSON, what they belong to. Written
 * atomically.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { DType } from '../graph/index.ts';
import { BraidError } from '../graph/index.ts';
import type { ModelConfig, SafetensorsType } from '../models/index.ts';
import { SafetensorsFile, writeSafetensors } from '../models/index.ts';
import type { Store, TensorData } from '../runtime/index.ts';
import type { SessionState, StateTensor } from './state.ts';

/** What a state belongs to. */
export interface StateOwner {
  readonly model: ModelConfig;
  /** Where the weights are that made it, under the keys `parameter/…`. */
  readonly store: Store;
  /** Identity of the tokenizer of its text. */
  readonly tokenizer: string;
}

export interface StoredState {
  readonly state: SessionState;
  /** Tokens that come next and were not fed yet, such as the last one of a text that was generated. */
  readonly pending: readonly number[];
}

const key = 'braid-state';

const headerSchema = z.strictObject({
  version: z.literal(1),
  /** SHA-256 of the model's configuration, its name left out. */
  model: z.string(),
  /** SHA-256 of the first values of every weight. */
  weights: z.string(),
  tokenizer: z.string(),
  length: z.int().nonnegative(),
  capacity: z.int().nonnegative(),
  pending: z.array(z.int().nonnegative()),
  /** Types of the tensors, as the model declares them. */
  types: z.record(z.string(), z.enum(['float32', 'bfloat16', 'int32'])),
});

type Header = z.infer<typeof headerSchema>;

/** Values of each weight that are looked at: weights of other steps or seeds differ in any of them. */
const sampled = 64;

function ownerOf({
  model: { name: _, ...model },
  store,
  tokenizer,
}: StateOwner): Omit<Header, 'version' | 'length' | 'capacity' | 'pending' | 'types'> {
  const weights = createHash('sha256');
  for (const weight of [...store.keys()].filter((name) => name.startsWith('parameter/')).sort()) {
    weights.update(weight).update(Float32Array.from(store.find(weight)?.data.subarray(0, sampled) ?? []));
  }
  const config = createHash('sha256').update(JSON.stringify(model, sortKeys));
  return { model: config.digest('hex'), weights: weights.digest('hex'), tokenizer };
}

/** The same configuration gives the same text, in whatever order it was written. */
function sortKeys(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Writes a state. Errors are `BraidError('file')`; what stood under the name before stays until the new file is complete. */
export async function saveState(path: string, stored: StoredState, owner: StateOwner): Promise<void> {
  const { state, pending } = stored;
  const header: Header = {
    version: 1,
    ...ownerOf(owner),
    length: state.length,
    capacity: state.capacity,
    pending: [...pending],
    types: Object.fromEntries(state.tensors.map(({ name, dtype }) => [name, dtype])),
  };
  const tensors = state.tensors.map(({ name, shape, data }) => ({
    name,
    shape,
    data,
    dtype: fileType(data),
  }));
  await writeSafetensors(path, tensors, { metadata: { [key]: JSON.stringify(header) } });
}

/**
 * Reads a state. A file that is none, or one of another model, of other weights or of another tokenizer, is a
 * `BraidError('checkpoint')`; a damaged one a `BraidError('file')`.
 */
export async function loadState(path: string, owner: StateOwner): Promise<StoredState> {
  const file = await SafetensorsFile.open(path);
  try {
    const header = readHeader(path, file.metadata[key]);
    const expected = ownerOf(owner);
    const told = { model: 'another model', weights: 'other weights', tokenizer: 'another tokenizer' };
    for (const part of ['model', 'weights', 'tokenizer'] as const) {
      if (header[part] === expected[part]) continue;
      throw new BraidError(
        'checkpoint',
        `The state '${path}' was made with ${told[part]}, and means nothing here. Feed the text again, or take the run ` +
          'that made it.',
      );
    }
    const tensors: StateTensor[] = [];
    for (const [name, { dtype, shape }] of file.entries) {
      const type = header.types[name];
      if (!type) throw notAState(path, `its header does not name the tensor '${name}'`);
      const data = emptyData(
        path,
        name,
        dtype,
        shape.reduce((product, extent) => product * extent, 1),
      );
      await file.readInto(name, dtype, data);
      tensors.push({ name, dtype: type as DType, shape, data });
    }
    return {
      state: { length: header.length, capacity: header.capacity, tensors },
      pending: header.pending,
    };
  } finally {
    await file.close();
  }
}

function readHeader(path: string, text: string | undefined): Header {
  if (text === undefined) throw notAState(path, `its header has no '${key}'`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw notAState(path, `the '${key}' of its header is not JSON`, error);
  }
  const parsed = headerSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw notAState(path, `'${issue?.path.join('.')}' of its header: ${issue?.message}`, parsed.error);
}

function notAState(path: string, reason: string, cause?: unknown): BraidError {
  return new BraidError(
    'checkpoint',
    `'${path}' is not a state that this version of Braid wrote: ${reason}. Make one with 'braid generate --save-state'.`,
    { cause },
  );
}

function fileType(data: TensorData): SafetensorsType {
  if (data instanceof Float32Array) return 'F32';
  if (data instanceof Float64Array) return 'F64';
  return data instanceof Int32Array ? 'I32' : 'BF16';
}

function emptyData(path: string, name: string, dtype: SafetensorsType, length: number): TensorData {
  if (dtype === 'F32') return new Float32Array(length);
  if (dtype === 'F64') return new Float64Array(length);
  if (dtype === 'I32') return new Int32Array(length);
  if (dtype === 'BF16') return new Uint16Array(length);
  throw notAState(path, `its tensor '${name}' is ${dtype}`);
}
