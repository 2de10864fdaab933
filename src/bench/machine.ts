/** What this machine can do, measured: the peaks that figures are shares of. */
import type { Executor } from '../runtime/executor.ts';
import { type Bandwidth, betterBandwidth, measureBandwidth } from './bandwidth.ts';
import { betterPeak, measurePeak, peakSizes } from './peak.ts';
import type { Peak } from './results.ts';

export interface Machine {
  readonly peaks: { readonly float32: Peak; readonly bfloat16: Peak };
  readonly bandwidth: Bandwidth;
  /** How often it was measured; the best of each figure stands. */
  readonly times: number;
}

/** How much to spend: `quick` is for smoke tests, its figures are too low. */
export type Effort = 'full' | 'quick';

/**
 * @param before an earlier measurement: of the products only those that were best are then repeated, for the large ones
 * take long in float32
 */
export async function measureMachine(
  executor: Executor,
  effort: Effort = 'full',
  before?: Machine,
): Promise<Machine> {
  const seconds = effort === 'full' ? 0.5 : 0;
  const quick = effort === 'quick';
  const peak = (precision: 'float32' | 'bfloat16'): Promise<Peak> => {
    const known = before?.peaks[precision];
    const sizes = known?.sizes.filter(({ flopsPerSecond }) => flopsPerSecond === known.flopsPerSecond);
    return measurePeak(executor, { precision, seconds, sizes: sizes ?? (quick ? quickSizes : peakSizes) });
  };
  return {
    peaks: { float32: await peak('float32'), bfloat16: await peak('bfloat16') },
    bandwidth: await measureBandwidth(executor, { seconds, ...(quick ? { streamBytes: 2 ** 20 } : {}) }),
    times: 1,
  };
}

const quickSizes = [{ m: 256, k: 256, n: 256 }];

/** Of two measurements the better one of every figure: a machine that others use is not equally fast all the time. */
export function betterMachine(a: Machine, b: Machine): Machine {
  return {
    peaks: {
      float32: betterPeak(a.peaks.float32, b.peaks.float32),
      bfloat16: betterPeak(a.peaks.bfloat16, b.peaks.bfloat16),
    },
    bandwidth: betterBandwidth(a.bandwidth, b.bandwidth),
    times: a.times + b.times,
  };
}
