/**
 * What this machine can do, measured: the best of a whole call. On a machine that others use too that is a ceiling, which
 * it does not reach all the time; what it does at a moment is measured by probes.
 */
import type { Executor } from '../runtime/executor.ts';
import { type Bandwidth, betterBandwidth, measureBandwidth, streamBytesOf } from './bandwidth.ts';
import type { OneDnn } from './onednn.ts';
import { betterPeak, measurePeak, peakSizes } from './peak.ts';
import type { Peak } from './results.ts';

export interface Machine {
  readonly peaks: { readonly float32: Peak; readonly bfloat16: Peak };
  readonly bandwidth: Bandwidth;
  /** How often it was measured; the best of each figure stands. */
  readonly times: number;
  /** What was run around the samples to see what the machine does at that moment; absent where nothing was. */
  readonly probes?: readonly string[];
}

/** How much to spend: `quick` is for smoke tests, its figures are too low. */
export type Effort = 'full' | 'quick';

export interface MachineOptions {
  readonly effort?: Effort | undefined;
  /** Its products count too: the peak is the best that anybody reaches. */
  readonly peer?: OneDnn | undefined;
  /**
   * An earlier measurement: of the products only those that were best are then repeated, for the large ones take long in
   * float32.
   */
  readonly before?: Machine;
}

export async function measureMachine(executor: Executor, options: MachineOptions = {}): Promise<Machine> {
  const { effort = 'full', peer, before } = options;
  const quick = effort === 'quick';
  const seconds = quick ? 0 : 0.5;
  const peak = async (precision: 'float32' | 'bfloat16'): Promise<Peak> => {
    const known = before?.peaks[precision];
    const best = known?.sizes.filter(({ flopsPerSecond }) => flopsPerSecond === known.flopsPerSecond);
    const sizes = best ?? (quick ? quickSizes : peakSizes);
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

const peerRuns = 3;

async function measurePeerPeak(
  peer: OneDnn,
  sizes: readonly Omit<Peak['sizes'][number], 'flopsPerSecond'>[],
  precision: 'float32' | 'bfloat16',
  threads: number,
): Promise<Peak | undefined> {
  const measured = [];
  for (const { m, k, n } of sizes) {
    const product = { m, k, n, transposeA: false, transposeB: true, dtype: precision };
    const plain = await peer.measure(product, 'plain', { runs: peerRuns });
    const packed = await peer.measure(product, 'packed', { runs: peerRuns });
    if (!plain || !packed) return undefined;
    measured.push({ m, k, n, flopsPerSecond: (2 * m * k * n) / Math.min(...plain, ...packed) });
  }
  return {
    precision,
    flopsPerSecond: Math.max(...measured.map(({ flopsPerSecond }) => flopsPerSecond)),
    source: `matrix product of ${peer.version}, ${threads} threads`,
    sizes: measured,
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
