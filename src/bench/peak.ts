/**
 * The measured peak that MFU is divided by: the best matrix product this executor reaches at one precision, over the
 * sizes that stand for the models (a projection, a square, a head).
 */

import { compile } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import { matmul } from '../ops/index.ts';
import type { Executor } from '../runtime/executor.ts';
import type { Peak } from './results.ts';
import { threadCount } from './threadCount.ts';

export const peakSizes = [
  { m: 2048, k: 768, n: 2048 },
  { m: 2048, k: 2048, n: 2048 },
  { m: 2048, k: 768, n: 65536 },
] as const;

type Size = Peak['sizes'][number];

export interface PeakOptions {
  /** Precision of the operands; accumulation is always float32. */
  readonly precision: 'float32' | 'bfloat16';
  /** Time to spend on each size, in seconds. */
  readonly seconds?: number;
  /** FLOPs after which each size is done, however little time it took. */
  readonly flops?: number;
  /** Default: `peakSizes`. */
  readonly sizes?: readonly Omit<Size, 'flopsPerSecond'>[];
}

/** Measures all sizes and keeps the best run of each; the peak is the best of them. */
export async function measurePeak(executor: Executor, options: PeakOptions): Promise<Peak> {
  const sizes = [];
  for (const size of options.sizes ?? peakSizes) {
    sizes.push({ ...size, flopsPerSecond: await measureProduct(executor, size, options) });
  }
  return {
    precision: options.precision,
    flopsPerSecond: Math.max(...sizes.map(({ flopsPerSecond }) => flopsPerSecond)),
    source: `built-in matrix product, ${executor.name} executor, ${threadCount(executor.threads)}`,
    sizes,
  };
}

/**
 * The better of two measurements of the same product. A machine that others use is not equally fast all the time, so the
 * peak is measured before and after what is divided by it. The second may have fewer sizes.
 */
export function betterPeak(a: Peak, b: Peak): Peak {
  const sizes = a.sizes.map((size) => {
    const other = b.sizes.find(({ m, k, n }) => m === size.m && k === size.k && n === size.n);
    return other && other.flopsPerSecond > size.flopsPerSecond ? other : size;
  });
  return { ...(a.flopsPerSecond >= b.flopsPerSecond ? a : b), sizes };
}

async function measureProduct(
  executor: Executor,
  { m, k, n }: Omit<Size, 'flopsPerSecond'>,
  { precision, seconds = 0.7, flops = Number.POSITIVE_INFINITY }: PeakOptions,
): Promise<number> {
  const product = 2 * m * k * n;
  const graph = new Graph();
  const a = graph.source('input', 'a', [m, k], precision);
  const b = graph.source('input', 'b', [n, k], precision);
  graph.output('y', matmul(a, b, { transposeB: true }));
  const store = executor.createStore();
  const program = executor.load(compile(graph, { name: 'peak', threads: executor.threads }), store);
  try {
    let best = Number.POSITIVE_INFINITY;
    let spent = 0;
    // The first run touches fresh memory and is never the best of two.
    for (let run = 0; run < 2 || (spent < seconds && run * product < flops); run++) {
      const { seconds: took } = await program.run();
      best = Math.min(best, took);
      spent += took;
    }
    return product / best;
  } finally {
    program.dispose();
    store.dispose();
  }
}
