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

export type ProbePrecision = 'float32' | 'bfloat16';

/** Runs one thing again and again for a while. */
export interface Probe {
  /** What it runs, and where. */
  readonly source: string;
  /** Mean rate over all of the probe's runs: FLOP/s of a product, bytes per second of a read. */
  measure(): Promise<number>;
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
    for (const [index, candidate] of candidates.entries()) rates[index] += await candidate.measure();
  }
  const best = candidates[rates.indexOf(Math.max(...rates))];
  for (const candidate of candidates) if (candidate !== best) candidate.dispose();
  return best;
}

function ownProduct(executor: Executor, product: Product, seconds: number): Probe {
  const { m, k, n } = product;
  const run = opened(executor, productProgram(product, executor.threads));
  return {
    source: `${nameOf(product)}, built-in, ${executor.threads} threads`,
    measure: async () => 2 * m * k * n * (await runsPerSecond(run.seconds, seconds)),
    dispose: run.dispose,
  };
}

function peerProduct(peer: OneDnn, product: Product, seconds: number, threads: number): Probe {
  const { m, k, n } = product;
  return {
    source: `${nameOf(product)}, ${peer.version}, ${threads} threads`,
    measure: async () => {
      const runs = await peer.measure(product, 'packed', { runs: 1, seconds });
      // A library that lacks the product is never chosen.
      return runs === undefined ? 0 : (2 * m * k * n) / mean(runs);
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
    source: `sum of ${bytes / 2 ** 20} MiB, ${executor.threads} threads`,
    measure: async () => bytes * (await runsPerSecond(run.seconds, seconds)),
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

async function runsPerSecond(run: () => Promise<number>, seconds: number): Promise<number> {
  let spent = 0;
  let runs = 0;
  while (runs === 0 || spent < seconds) {
    spent += await run();
    runs++;
  }
  return runs / spent;
}

function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}
