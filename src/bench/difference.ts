/**
 * What got better and what got worse between two reports, by the clock and by what the machine did around each sample. The
 * spread decides what is noise: a difference counts where the quarter points of the two do not overlap and the medians
 * differ by more than one in a hundred.
 */

import { BraidError } from '../graph/index.ts';
import type { BenchReport, Measurement } from './measurement.ts';
import { describeSubject, productRate, readRate } from './measurement.ts';
import { type Moment, sharesOf } from './probes.ts';
import { type Spread, spread } from './statistics.ts';
import { threadCount } from './threadCount.ts';

export type Verdict = 'better' | 'worse' | 'noise';

export interface Difference {
  readonly name: string;
  readonly before: Spread;
  readonly after: Spread;
  /** Median time before over median time after: above 1 is faster. */
  readonly speedup: number;
  readonly verdict: Verdict;
  /**
   * The same with time counted in the work that probes did in it: the FLOPs of a product, the bytes of a read. A machine that
   * was slower in one of the two calls then makes no difference, as far as what was measured is bound by the same.
   */
  readonly atEqualMachine?: { readonly speedup: number; readonly verdict: Verdict };
}

export interface Differences {
  readonly differences: readonly Difference[];
  /** Measured in one of the two only. */
  readonly missing: { readonly before: readonly string[]; readonly after: readonly string[] };
  /** Settings of the machine that differ: figures are then no comparison of the code alone. */
  readonly surroundings: readonly {
    readonly what: string;
    readonly before: string;
    readonly after: string;
  }[];
  /** Best matrix product after over before, by precision: what the machine itself gained. */
  readonly peakRatio: { readonly float32: number; readonly bfloat16: number };
}

const smallest = 0.01;

export function compareReports(before: BenchReport, after: BenchReport): Differences {
  if (before.kind !== after.kind) {
    throw new BraidError(
      'usage',
      `One report is of 'bench ${before.kind}', the other of 'bench ${after.kind}'. Compare two of the same kind.`,
    );
  }
  const known = new Map(before.measurements.map((one) => [identity(one), one]));
  const found = new Set(after.measurements.map(identity));
  const differences = after.measurements.flatMap((measurement) => {
    const old = known.get(identity(measurement));
    return old ? [differ(identity(measurement), old, measurement)] : [];
  });
  return {
    differences,
    missing: {
      before: [...found].filter((name) => !known.has(name)),
      after: [...known.keys()].filter((name) => !found.has(name)),
    },
    surroundings: surroundings(before, after),
    peakRatio: {
      float32: after.machine.peaks.float32.flopsPerSecond / before.machine.peaks.float32.flopsPerSecond,
      bfloat16: after.machine.peaks.bfloat16.flopsPerSecond / before.machine.peaks.bfloat16.flopsPerSecond,
    },
  };
}

/** Two measurements are of the same thing when subject, precision, threads and executor agree. */
function identity({ subject, precision, threads, executor }: Measurement): string {
  return `${describeSubject(subject)}, ${precision}, ${threadCount(threads)}, ${executor}`;
}

function differ(name: string, old: Measurement, fresh: Measurement): Difference {
  const before = spread(old.seconds);
  const after = spread(fresh.seconds);
  const equal = [productRate, readRate].flatMap((rate) => differAtEqualMachine(old, fresh, rate)).at(0);
  return {
    name,
    before,
    after,
    speedup: before.median / after.median,
    verdict: judge(before, after),
    ...(equal ? { atEqualMachine: equal } : {}),
  };
}

function differAtEqualMachine(
  old: Measurement,
  fresh: Measurement,
  rate: (moment: Moment) => number | undefined,
): NonNullable<Difference['atEqualMachine']>[] {
  // Samples per unit of the probe's work; its inverse is the time.
  const costs = [old, fresh].map((one) => sharesOf(one, 1, rate).map((share) => 1 / share));
  if (costs.some((values) => values.length === 0)) return [];
  const [before, after] = costs.map(spread);
  return [{ speedup: before.median / after.median, verdict: judge(before, after) }];
}

export function judge(before: Spread, after: Spread): Verdict {
  const apart = after.high < before.low || after.low > before.high;
  if (!apart || Math.abs(after.median / before.median - 1) <= smallest) return 'noise';
  return after.median < before.median ? 'better' : 'worse';
}

function surroundings(before: BenchReport, after: BenchReport): Differences['surroundings'] {
  const keys = ['cpu', 'cores', 'system', 'node', 'isa'] as const;
  return keys.flatMap((what) => {
    const [old, fresh] = [String(before.environment[what]), String(after.environment[what])];
    return old === fresh ? [] : [{ what, before: old, after: fresh }];
  });
}
