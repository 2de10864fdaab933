import { describe, expect, it } from 'vitest';
import { compile, type Program } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import { add, embedding, matmul, scale } from '../ops/index.ts';
import { nameOf, productProgram, productsOf } from './products.ts';
import { ProfileRecorder, rooflineSeconds } from './profile.ts';
import { workOf } from './programWork.ts';
import { roundMachine } from './testing.ts';
import { chromeTrace } from './trace.ts';

describe('the roofline', () => {
  const call = { flops: 200, bytes: 10, precision: 'float32', threadShare: 1 } as const;

  it('is the longer of computing and moving bytes', () => {
    expect(rooflineSeconds(call, roundMachine)).toBe(2);
    expect(rooflineSeconds({ ...call, precision: 'bfloat16' }, roundMachine)).toBe(1);
    expect(rooflineSeconds({ ...call, bytes: 50 }, roundMachine)).toBe(5);
  });

  it('is twice as far for half of the threads', () => {
    expect(rooflineSeconds({ ...call, threadShare: 0.5 }, roundMachine)).toBe(4);
  });
});

/** Two lanes of a group, and a call after them. */
function laned(): Program {
  const graph = new Graph();
  const x = graph.source('input', 'x', [4, 4]);
  const w = graph.source('parameter', 'w', [4, 4]);
  const left = graph.lane({ group: 'g', index: 0 }, () => graph.scope('left', () => matmul(x, w)));
  const right = graph.lane({ group: 'g', index: 1 }, () => graph.scope('right', () => scale(x, 2)));
  graph.output(
    'y',
    graph.scope('after', () => add(left, right)),
  );
  return compile(graph, { name: 'laned', threads: 4, lanes: true });
}

describe('a profile', () => {
  const program = laned();
  const recorder = new ProfileRecorder(program);
  const place = (path: string) => program.calls.findIndex((call) => call.path === path);
  for (const factor of [1, 3, 2]) {
    const calls = program.calls.map((_, call) => ({ call, start: call, seconds: factor * (call + 1) }));
    recorder.add({ calls, seconds: 10 * factor });
    recorder.addHost(1);
  }

  it('takes medians over the runs and groups by operation and layer', () => {
    const { seconds, hostSeconds, runs, operations, layers } = recorder.profile(roundMachine);
    expect(runs).toBe(3);
    expect(seconds).toBe(20);
    expect(hostSeconds).toBe(1);
    expect(operations.map(({ name }) => name).sort()).toEqual(['add', 'matmul (float32)', 'scale']);
    const left = layers.find(({ name }) => name === 'left');
    expect(left?.seconds).toBe(2 * (place('left') + 1));
    expect(layers.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    // 2·4·4·4 FLOPs at 100 per second and 3·64 bytes at 10, on the share of the lane's threads.
    const { threadShare } = recorder.calls()[place('left')];
    expect(threadShare).toBeLessThan(1);
    expect(left?.overRoofline).toBeCloseTo((left?.seconds ?? 0) / (19.2 / threadShare));
  });

  it('becomes a trace with a row per lane', () => {
    const { traceEvents } = JSON.parse(chromeTrace('p', recorder.trace())) as {
      traceEvents: { ph: string; name: string; tid: number; ts?: number; dur?: number }[];
    };
    const calls = traceEvents.filter(({ ph }) => ph === 'X');
    expect(calls).toHaveLength(3);
    expect(calls.find(({ name }) => name === 'scale')?.tid).toBe(1);
    // The last run as it was: twice the seconds of the first, in microseconds.
    expect(calls.find(({ name }) => name === 'add')).toMatchObject({ ts: 2e6, dur: 6e6 });
  });
});

describe('the work of a program', () => {
  it('needs the whole of a weight, but only the rows of a table that are looked up', () => {
    const graph = new Graph();
    const table = graph.source('parameter', 'table', [1000, 4]);
    const ids = graph.source('input', 'ids', [1, 1], 'int32');
    const w = graph.source('parameter', 'w', [4, 4]);
    graph.output('y', matmul(embedding(table, ids), w));
    const work = workOf([compile(graph, { name: 'p', threads: 1 })]);
    expect(work.executedFlops).toBe(32);
    expect(work.neededBytes).toBeGreaterThanOrEqual(64 + 16);
    expect(work.neededBytes).toBeLessThan(64 + 100);
  });
});

describe('products', () => {
  it('are found once each, with their sizes as they are stored', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 3, 4]);
    const w = graph.source('parameter', 'w', [5, 4]);
    const y = matmul(x, w, { transposeB: true });
    graph.output('a', y);
    graph.output('b', matmul(scale(x, 2), w, { transposeB: true }));
    graph.output('c', matmul(y, x, { transposeA: true }));
    const found = productsOf(compile(graph, { name: 'p', threads: 1 }));
    expect(found.map(nameOf)).toEqual(['6×4×5 NT float32', '5×6×4 TN float32']);
    expect(productsOf(productProgram(found[1], 1)).map(nameOf)).toEqual(['5×6×4 TN float32']);
  });
});
