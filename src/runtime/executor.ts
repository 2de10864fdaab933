/**
 * The executor contract: make a store for persistent tensors, load programs against it, write inputs, run, read
 * outputs. `reference` and `native` fulfil it; neither knows what a model is.
 */
import type { Program } from '../compiler/program.ts';
import type { DType, Shape } from '../graph/index.ts';

/** float32 → Float32Array (Float64Array on the reference executor in float64), int32 → Int32Array, bfloat16 → its bits
 * on `native`, rounded floats on `reference`. */
export type TensorData = Float32Array | Float64Array | Uint16Array | Int32Array;

export interface StoredTensor {
  readonly key: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** The live memory, not a copy: valid until the store is disposed. */
  readonly data: TensorData;
}

/** Persistent tensors (parameters, shadows, gradients, optimizer moments, states), shared by all programs loaded with it. */
export interface Store {
  /** The tensor of that key, made of zeros at the first call. Another type under the same key is an error. */
  tensor(key: string, dtype: DType, shape: Shape): StoredTensor;
  find(key: string): StoredTensor | undefined;
  keys(): readonly string[];
  /** Frees one tensor, or does nothing when the key is unknown. Programs that use it must be disposed first. */
  delete(key: string): void;
  /** Bytes held. */
  readonly bytes: number;
  dispose(): void;
}

/** What became of a group of lanes. Seconds of a lane are those of one of its threads, by mean. */
export interface LaneStatistics {
  readonly group: string;
  /** Wall time of the group. */
  readonly seconds: number;
  /** How long the threads of each lane were at work: on its own calls and, when those were done, on calls of others. */
  readonly busy: readonly number[];
  /** What the calls of each lane took, whoever did them. */
  readonly work: readonly number[];
}

export interface CallTime {
  /** Index into `program.calls`. */
  readonly call: number;
  readonly start: number;
  readonly seconds: number;
}

export interface RunStatistics {
  readonly seconds: number;
  /** One entry per group of lanes, when the program has any. */
  readonly lanes: readonly LaneStatistics[];
  /** Present when the run was asked for a profile. */
  readonly calls?: readonly CallTime[];
}

export interface RunOptions {
  readonly profile?: boolean;
  /**
   * Stop after the first call that produced a NaN or an infinity, and report it. Slow: every output is scanned.
   */
  readonly check?: boolean;
}

/** What a checked run throws as the `cause` of its error. */
export interface NonFinite {
  readonly call: number;
  readonly operation: string;
  readonly path: string;
}

export interface LoadedProgram {
  readonly program: Program;
  /** Views of the input buffers, by name: write before `run`. */
  readonly inputs: ReadonlyMap<string, TensorData>;
  /** Views of the output buffers, by name: read after `run`, before the next one. */
  readonly outputs: ReadonlyMap<string, TensorData>;
  run(options?: RunOptions): Promise<RunStatistics>;
  dispose(): void;
}

export interface Executor {
  readonly name: string;
  readonly threads: number;
  createStore(): Store;
  load(program: Program, store: Store): LoadedProgram;
}
