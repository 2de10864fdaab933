/**
 * What the machine does at one moment. A shared machine is not equally fast all the time (its matrix unit least of all), so
 * a rate is a share of what the machine gave just before and just after, never of a peak measured at another time.
 */

import { compile } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import { sum as sumOf } from '../ops/index.ts';
import type { Executor } from '../runtime/index.ts';
import { streamBytesOf } from './bandwidth.ts';
import type { Effort } from './machine.ts';
import type { OneDnn } from './onednn.ts';
import { nameOf, type Product, productProgram } from './products.ts';
import { sum } from './statistics.ts';
import { threadCount } from './threadCount.ts';

export type ProbePrecision = 'float32' | 'bfloat16';

/** Work per second: FLOP/s of a product, bytes per second of a read. */
export interface ProbedRate {
  /** Over all runs of the probe. */
  readonly mean: number;
  /** Of its best run. */
  readonly best: number;
}

/** Runs one thing again and again for a while. */
export interface Probe {
  /** What it runs, and where. */
  readonly source: string;
  /** The product, of a product probe. */
  readonly product?: Product;
  measure(): Promise<ProbedRate>;
  dispose(): void;
}

export interface ProbeOptions {
  readonly executor: Executor;
  readonly effort?: Effort | undefined;
  /** A probe is the kernel that is faster on average, Braid's own or the peer's. */
  readonly peer?: OneDnn | undefined;
}

/** Long enough to see more than one state of the machine, short against a step of a large model. */
export const probeSeconds = 0.3;

/**
 * The sizes of the peak without the head, of which a single run takes as long as a probe and whose result is half a
 * gigabyte.
 */
const sizes = [
  { m: 2048, k: 768, n: 2048 },
  { m: 2048, k: 2048, n: 2048 },
] as const;
const quickSizes = [{ m: 256, k: 256, n: 256 }] as const;

const choosingTurns = 3;

/** Tries every size in both libraries in turn and keeps the one with the best mean. */
export async function openProductProbe(
  { executor, effort = 'full', peer }: ProbeOptions,
  precision: ProbePrecision,
): Promise<Probe> {
  const quick = effort === 'quick';
  const seconds = quick ? 0 : probeSeconds;
  const products = (quick ? quickSizes : sizes).map(
    (size): Product => ({ ...size, transposeA: false, transposeB: true, dtype: precision }),
  );
  const candidates = products.flatMap((product) => [
    ownProduct(executor, product, seconds),
    ...(peer ? [peerProduct(peer, product, seconds, executor.threads)] : []),
  ]);
  const rates = candidates.map(() => 0);
  for (let turn = 0; candidates.length > 1 && turn < choosingTurns; turn++) {
    for (const [index, candidate] of candidates.entries()) rates[index] += (await candidate.measure()).mean;
  }
  const best = candidates[rates.indexOf(Math.max(...rates))];
  for (const candidate of candidates) if (candidate !== best) candidate.dispose();
  return best;
}

function ownProduct(executor: Executor, product: Product, seconds: number): Probe {
  const { m, k, n } = product;
  const run = opened(executor, productProgram(product, executor.threads));
  return {
    source: `${nameOf(product)}, built-in, ${threadCount(executor.threads)}`,
    product,
    measure: async () => rateOf(2 * m * k * n, await runFor(seconds, run.seconds)),
    dispose: run.dispose,
  };
}

function peerProduct(peer: OneDnn, product: Product, seconds: number, threads: number): Probe {
  const { m, k, n } = product;
  return {
    source: `${nameOf(product)}, ${peer.version}, ${threadCount(threads)}`,
    product,
    measure: async () => {
      const runs = await peer.measure(product, 'packed', { runs: 1, seconds });
      // A library that lacks the product is never chosen.
      return rateOf(2 * m * k * n, runs ?? [Number.POSITIVE_INFINITY]);
    },
    dispose: () => {},
  };
}

/** Reading alone, as generation reads weights: the sum of a tensor larger than the caches. */
export function openReadProbe({ executor, effort = 'full' }: ProbeOptions): Probe {
  const bytes = streamBytesOf(effort);
  const graph = new Graph();
  graph.output('total', sumOf(graph.source('input', 'x', [bytes / 4])));
  const run = opened(executor, compile(graph, { name: 'read', threads: executor.threads }));
  const seconds = effort === 'quick' ? 0 : probeSeconds;
  return {
    source: `sum of ${bytes / 2 ** 20} MiB, ${threadCount(executor.threads)}`,
    measure: async () => rateOf(bytes, await runFor(seconds, run.seconds)),
    dispose: run.dispose,
  };
}

/** A loaded program whose inputs have been written: pages that never were cost no memory traffic. */
function opened(executor: Executor, program: ReturnType<typeof compile>) {
  const store = executor.createStore();
  const loaded = executor.load(program, store);
  for (const [name, values] of loaded.inputs) {
    const buffer = program.buffers[program.inputs[name]];
    // About 0.01, in bfloat16 as its bits.
    values.fill(buffer.dtype === 'bfloat16' ? 0x3c24 : 0.01);
  }
  return {
    seconds: async () => (await loaded.run()).seconds,
    dispose: () => {
      loaded.dispose();
      store.dispose();
    },
  };
}

/** Seconds of each run, of which there is at least one. */
async function runFor(seconds: number, run: () => Promise<number>): Promise<number[]> {
  const runs: number[] = [];
  for (let spent = 0; runs.length === 0 || spent < seconds; spent += runs[runs.length - 1])
    runs.push(await run());
  return runs;
}

function rateOf(work: number, runs: readonly number[]): ProbedRate {
  return { mean: (work * runs.length) / sum(runs), best: work / Math.min(...runs) };
}
