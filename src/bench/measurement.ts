/**
 * What every benchmark gives: measurements of something named by its parts, with all samples and what was counted, beside
 * the peaks of the machine in the same call. Tables, pages and comparisons read only this.
 */
import type { Environment } from '../train/index.ts';
import type { LaneMeasurement } from './lanes.ts';
import type { Machine } from './machine.ts';
import { type Moment, type ProbedGroup, type Samples, sharesOf } from './probes.ts';
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
  /** What the machine did around the samples, group by group in the same order; absent where nothing was probed. */
  readonly probes?: readonly ProbedGroup[];
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
  /** What follows from all this, for those who read the report elsewhere. */
  readonly figures?: Figures;
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

/**
 * What follows from a measurement. Shares are of what the machine did at that moment: each group of samples over the mean
 * of the probes around it, then the median of the groups with its quarter points; absent where nothing was probed. Those
 * of the ceiling are over the best of the whole call, and depend on how much of the machine there was.
 */
export interface Figures {
  readonly seconds: Spread;
  readonly tokensPerSecond?: number;
  /** Model FLOPs per second over products per second. */
  readonly mfu?: Spread;
  /** Executed FLOPs per second over the same. */
  readonly hardwareUtilisation?: Spread;
  /** Needed bytes per second over bytes read per second. */
  readonly bandwidthShare?: Spread;
  readonly ofCeiling: {
    readonly mfu?: number;
    readonly hardwareUtilisation: number;
    readonly bandwidthShare?: number;
  };
  readonly flopsPerSecond: number;
  readonly bytesPerSecond: number;
}

export function figuresOf(measurement: Measurement, machine: Machine): Figures {
  const { work, precision } = measurement;
  const { modelFlops, neededBytes } = work;
  const seconds = spread(measurement.seconds);
  const possible = seconds.median * peakAt(machine, precision);
  const mfu = shares(measurement, modelFlops, productRate);
  const hardwareUtilisation = shares(measurement, work.executedFlops, productRate);
  const bandwidthShare = shares(measurement, neededBytes, readRate);
  return {
    seconds,
    ...(work.tokens === undefined ? {} : { tokensPerSecond: work.tokens / seconds.median }),
    ...(mfu ? { mfu } : {}),
    ...(hardwareUtilisation ? { hardwareUtilisation } : {}),
    ...(bandwidthShare ? { bandwidthShare } : {}),
    ofCeiling: {
      ...(modelFlops === undefined ? {} : { mfu: modelFlops / possible }),
      hardwareUtilisation: work.executedFlops / possible,
      ...(neededBytes === undefined
        ? {}
        : { bandwidthShare: neededBytes / (seconds.median * machine.bandwidth.read) }),
    },
    flopsPerSecond: work.executedFlops / seconds.median,
    bytesPerSecond: work.executedBytes / seconds.median,
  };
}

export const productRate = ({ flopsPerSecond }: Moment): number | undefined => flopsPerSecond;
export const readRate = ({ readBytesPerSecond }: Moment): number | undefined => readBytesPerSecond;

function shares(
  samples: Samples,
  amount: number | undefined,
  rate: (moment: Moment) => number | undefined,
): Spread | undefined {
  const found = amount === undefined ? [] : sharesOf(samples, amount, rate);
  return found.length > 0 ? spread(found) : undefined;
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
