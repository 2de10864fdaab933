/** Memory bandwidth as Braid's own kernels reach it, with all threads. */
import { freemem } from 'node:os';
import { compile } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import { accumulate, sum } from '../ops/index.ts';
import type { Executor } from '../runtime/executor.ts';
import type { Effort } from './machine.ts';

/** Bytes per second. */
export interface Bandwidth {
  /** Reading alone, as generation reads weights: the sum of a large tensor. */
  readonly read: number;
  /** Reading two streams and writing one in place, as the optimizer does. */
  readonly readWrite: number;
  /** Size of each stream. */
  readonly streamBytes: number;
}

export interface BandwidthOptions {
  /** Time to spend on each figure, in seconds. */
  readonly seconds?: number;
  /** Bytes of each stream. Default: beyond the caches. */
  readonly streamBytes?: number;
}

const largestStream = 512 * 2 ** 20;

/** Bytes of a stream: beyond the caches of a machine, or an eighth of what is free; in a quick run too few for a figure. */
export function streamBytesOf(effort: Effort): number {
  if (effort === 'quick') return 2 ** 20;
  return 4 * Math.floor(Math.min(largestStream, freemem() / 8) / 4);
}

export async function measureBandwidth(
  executor: Executor,
  { seconds = 0.7, streamBytes = streamBytesOf('full') }: BandwidthOptions = {},
): Promise<Bandwidth> {
  const count = Math.max(1, Math.floor(streamBytes / 4));
  const reading = new Graph();
  reading.output('total', sum(reading.source('input', 'x', [count])));

  const writing = new Graph();
  const stream = writing.source('gradient', 'stream', [count]);
  const keep = writing.source('input', 'keep', [1]);
  writing.assign(stream, accumulate(stream, writing.source('input', 'x', [count]), keep));
  return {
    read: (4 * count) / (await best(executor, reading, seconds)),
    readWrite: (3 * 4 * count) / (await best(executor, writing, seconds)),
    streamBytes: 4 * count,
  };
}

/** Seconds of the fastest run. */
async function best(executor: Executor, graph: Graph, seconds: number): Promise<number> {
  const store = executor.createStore();
  const program = executor.load(compile(graph, { name: 'bandwidth', threads: executor.threads }), store);
  try {
    // Touch every page before anything is timed; a read of pages that were never written costs no memory traffic.
    for (const input of program.inputs.values()) input.fill(1);
    await program.run();
    let fastest = Number.POSITIVE_INFINITY;
    let spent = 0;
    for (let run = 0; run < 3 || spent < seconds; run++) {
      const { seconds: took } = await program.run();
      fastest = Math.min(fastest, took);
      spent += took;
    }
    return fastest;
  } finally {
    program.dispose();
    store.dispose();
  }
}
