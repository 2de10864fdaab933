/**
 * A program: a graph made ready to run. Buffers are planned, calls are ordered, lanes are scheduled. It is plain JSON,
 * and what crosses to the native side, once.
 */
import type { Attributes, DType, Role, Shape } from '../graph/index.ts';

export const PROGRAM_VERSION = 1;

export interface ProgramBuffer {
  readonly role: Role | 'workspace';
  /** Name of a source; empty otherwise. Persistent buffers are found in a store by `storeKey(buffer)`. */
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly bytes: number;
  /** Place in the arena; absent for persistent buffers. Always a multiple of 64. */
  readonly offset?: number;
}

export interface ProgramCall {
  readonly operation: string;
  /** Indices into `buffers`; null for an input that is not given or an output that nobody reads. */
  readonly inputs: readonly (number | null)[];
  readonly outputs: readonly (number | null)[];
  readonly attributes: Attributes;
  readonly workspace: number | null;
  readonly path: string;
  /** Executed FLOPs and bytes of the call, for profiles. */
  readonly flops: number;
  readonly bytes: number;
}

/** Either one call on all threads, or lanes that run at the same time, each on its number of threads. */
export type ScheduleItem =
  | { readonly call: number }
  | {
      readonly group: string;
      readonly lanes: readonly { readonly threads: number; readonly calls: readonly number[] }[];
    };

export interface Program {
  readonly version: number;
  readonly name: string;
  readonly threads: number;
  readonly arenaBytes: number;
  /** The largest sum of bytes of arena buffers alive at the same time: a lower bound for `arenaBytes`. */
  readonly peakLiveBytes: number;
  readonly buffers: readonly ProgramBuffer[];
  readonly calls: readonly ProgramCall[];
  readonly schedule: readonly ScheduleItem[];
  /** Input and output names of the host, as indices into `buffers`. */
  readonly inputs: Readonly<Record<string, number>>;
  readonly outputs: Readonly<Record<string, number>>;
}

/** The key under which a store keeps a persistent buffer, such as `parameter/embedding`. */
export function storeKey(buffer: { readonly role: string; readonly name: string }): string {
  return `${buffer.role}/${buffer.name}`;
}
