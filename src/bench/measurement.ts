/**
 * What every benchmark gives: measurements of something named by its parts, with all samples and what was counted, beside
 * the peaks of the machine in the same call. Tables, pages and comparisons read only this.
 */
import type { Environment } from '../train/index.ts';
import type { LaneMeasurement } from './lanes.ts';
import type { Machine } from './machine.ts';
import type { Profile } from './profile.ts';
import { type Spread, spread } from './statistics.ts';

/** What tells one measurement from the others of a report, such as `{ model: 'llama-135m', length: 1024 }`. */
export type Subject = Readonly<Record<string, string | number>>;

/** What one sample did. FLOPs of matrix products, convolutions and scans; elementwise work is not counted. */
export interface Work {
  readonly tokens?: number;
  /** Model FLOPs: what the model needs, nothing counted twice. Absent where only calls were timed. */
  readonly modelFlops?: number;
  /** FLOPs of the kernels, recomputation included. */
  readonly executedFlops: number;
  /** Bytes that the kernels read and write. */
  readonly executedBytes: number;
  /** Least bytes: every persistent tensor that is used, read once and written once where it changes. */
  readonly neededBytes?: number;
}

export interface Measurement {
  readonly subject: Subject;
  readonly precision: string;
  readonly threads: number;
  readonly executor: string;
  /** Every sample, in the order in which they were taken. */
  readonly seconds: readonly number[];
  readonly work: Work;
  readonly memory?: {
    /** Bytes planned before the run. */
    readonly planned: number;
    /** Largest resident memory of the process while it ran; null where the system does not tell. */
    readonly peak: number | null;
    /** Arena over the largest sum of simultaneously live tensors. */
    readonly arenaOverLive: number;
  };
  /** Busy time of the lanes over (lanes × the slowest lane); absent where no lanes ran. */
  readonly laneBalance?: number;
  readonly profile?: Profile;
}

export type BenchKind = 'train' | 'generate' | 'operators' | 'lanes' | 'scaling' | 'peers';

export interface BenchReport {
  readonly version: 1;
  readonly kind: BenchKind;
  readonly created: string;
  readonly environment: Environment;
  readonly machine: Machine;
  readonly measurements: readonly Measurement[];
  /** What `bench lanes` found in each block. */
  readonly lanes?: readonly LaneMeasurement[];
}

/** What follows from a measurement and the peaks. */
export interface Figures {
  readonly seconds: Spread;
  readonly tokensPerSecond?: number;
  /** Model FLOPs over the median time and the peak. */
  readonly mfu?: number;
  /** Executed FLOPs over the same. */
  readonly hardwareUtilisation: number;
  readonly flopsPerSecond: number;
  readonly bytesPerSecond: number;
  /** Needed bytes over the median time and the measured read bandwidth. */
  readonly bandwidthShare?: number;
}

export function figuresOf(measurement: Measurement, machine: Machine): Figures {
  const { work, precision } = measurement;
  const seconds = spread(measurement.seconds);
  const possible = seconds.median * peakAt(machine, precision);
  return {
    seconds,
    ...(work.tokens === undefined ? {} : { tokensPerSecond: work.tokens / seconds.median }),
    ...(work.modelFlops === undefined ? {} : { mfu: work.modelFlops / possible }),
    hardwareUtilisation: work.executedFlops / possible,
    flopsPerSecond: work.executedFlops / seconds.median,
    bytesPerSecond: work.executedBytes / seconds.median,
    ...(work.neededBytes === undefined
      ? {}
      : { bandwidthShare: work.neededBytes / (seconds.median * machine.bandwidth.read) }),
  };
}

/** The measured peak at a precision, FLOP/s; anything but bfloat16 is multiplied in float32. */
export function peakAt({ peaks }: Pick<Machine, 'peaks'>, precision: string): number {
  return (precision === 'bfloat16' ? peaks.bfloat16 : peaks.float32).flopsPerSecond;
}

/** A subject on one line: `llama-135m, length 1024`. The first part stands without its name. */
export function describeSubject(subject: Subject): string {
  return Object.entries(subject)
    .map(([name, value], index) =>
      index === 0 || typeof value === 'string' ? `${value}` : `${name} ${value}`,
    )
    .join(', ');
}
