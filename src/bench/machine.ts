/**
 * What this machine can do, measured: the best of a whole call. On a machine that others use too that is a ceiling, which
 * it does not reach all the time; what it does at a moment is measured by probes.
 */

import type { Executor } from '../runtime/executor.ts';
import { type Bandwidth, measureBandwidth, streamBytesOf } from './bandwidth.ts';
import type { OneDnn } from './onednn.ts';
import { betterPeak, measurePeak, peakSizes } from './peak.ts';
import type { Peak } from './results.ts';
import { threadCount } from './threadCount.ts';

export interface Machine {
  readonly peaks: { readonly float32: Peak; readonly bfloat16: Peak };
  readonly bandwidth: Bandwidth;
  /** How often a ceiling was measured: once before anything else, and again by every probe. */
  readonly times: number;
  /** What was run around the samples to see what the machine does at that moment; absent where nothing was. */
  readonly probes?: readonly string[];
}

/** How much to spend: `quick` is for smoke tests, its figures are too low. */
export type Effort = 'full' | 'quick';

export interface MachineOptions {
  readonly effort?: Effort | undefined;
  /** Its products count too: the ceiling is the best that anybody reaches. */
  readonly peer?: OneDnn | undefined;
}

/** Seconds for each product and each kind of memory traffic; a run that takes longer is made once more. */
const measuredSeconds = 0.3;

export async function measureMachine(executor: Executor, options: MachineOptions = {}): Promise<Machine> {
  const { effort = 'full', peer } = options;
  const quick = effort === 'quick';
  const seconds = quick ? 0 : measuredSeconds;
  const sizes = quick ? quickSizes : peakSizes;
  const peak = async (precision: 'float32' | 'bfloat16'): Promise<Peak> => {
    const own = await measurePeak(executor, { precision, seconds, sizes });
    const other = peer && (await measurePeerPeak(peer, sizes, precision, executor.threads));
    return other ? betterPeak(own, other) : own;
  };
  return {
    peaks: { float32: await peak('float32'), bfloat16: await peak('bfloat16') },
    bandwidth: await measureBandwidth(executor, { seconds, streamBytes: streamBytesOf(effort) }),
    times: 1,
  };
}

async function measurePeerPeak(
  peer: OneDnn,
  sizes: readonly Omit<Peak['sizes'][number], 'flopsPerSecond'>[],
  precision: 'float32' | 'bfloat16',
  threads: number,
): Promise<Peak | undefined> {
  const measured = [];
  for (const { m, k, n } of sizes) {
    const product = { m, k, n, transposeA: false, transposeB: true, dtype: precision };
    const times = await peer.measure(product, 'packed', { runs: 1, seconds: measuredSeconds });
    if (!times) return undefined;
    measured.push({ m, k, n, flopsPerSecond: (2 * m * k * n) / Math.min(...times) });
  }
  return {
    precision,
    flopsPerSecond: Math.max(...measured.map(({ flopsPerSecond }) => flopsPerSecond)),
    source: `matrix product of ${peer.version}, ${threadCount(threads)}`,
    sizes: measured,
  };
}

const quickSizes = [{ m: 256, k: 256, n: 256 }];

/** What probes found: the best single run of each. */
export interface ProbedCeilings {
  readonly peaks: readonly Peak[];
  /** Bytes per second. */
  readonly read?: number;
  readonly times: number;
}

/** A machine that others use is not equally fast all the time: the ceiling is the best of all runs of the call. */
export function raiseCeilings(machine: Machine, { peaks, read = 0, times }: ProbedCeilings): Machine {
  const raised = (precision: 'float32' | 'bfloat16'): Peak =>
    peaks.filter((peak) => peak.precision === precision).reduce(betterPeak, machine.peaks[precision]);
  const { bandwidth } = machine;
  return {
    peaks: { float32: raised('float32'), bfloat16: raised('bfloat16') },
    bandwidth: { ...bandwidth, read: Math.max(bandwidth.read, read) },
    times: machine.times + times,
  };
}
