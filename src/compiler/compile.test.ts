import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../graph/index.ts';
import { byteSize, defineOperation, Graph } from '../graph/index.ts';
import {
  accumulate,
  adamw,
  add,
  cast,
  linearCrossEntropy,
  multiply,
  reshape,
  scale,
  softmax,
  split,
  subtract,
  sum,
} from '../ops/index.ts';
import { evaluateTensors, floats } from '../ops/testing.ts';
import { runGraph, stored } from '../runtime/testing.ts';
import { compile } from './compile.ts';
import type { Program } from './program.ts';

const options = { name: 'test', threads: 1 };

/** Adds 1 in place, and says so. */
const bump = defineOperation({
  name: 'testBump',
  inPlace: [[0, 0]],
  infer: ([x]) => (x ? [x] : []),
  cost: () => ({ model: 0, executed: 0, elementwise: 0, bytes: 0 }),
  evaluate([x], [y]) {
    if (!x || !y) return;
    for (let i = 0; i < x.values.length; i++) y.values[i] = x.values[i] + 1;
  },
});

function bumped(x: Tensor): Tensor {
  return x.graph.apply(bump, [x], {})[0];
}

function operations(program: Program): string[] {
  return program.calls.map((call) => call.operation);
}

describe('compile: buffers', () => {
  it('runs no call for a reshape: both shapes are one place in the arena', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 3]);
    graph.output('y', scale(reshape(scale(x, 2), [6]), 3));
    const program = compile(graph, options);
    expect(operations(program)).toEqual(['scale', 'scale']);
    const [first, second] = program.calls;
    const written = program.buffers[first.outputs[0] ?? -1];
    const read = program.buffers[second.inputs[0] ?? -1];
    expect([written.shape, read.shape]).toEqual([[2, 3], [6]]);
    expect(read.offset).toBe(written.offset);
  });

  it('gives no buffer to a result that nobody reads, and one to an input that nobody reads', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 4]);
    graph.source('input', 'unread', [3]);
    graph.output('y', split(x, [1, 3])[1]);
    const program = compile(graph, options);
    expect(program.calls[0].outputs[0]).toBeNull();
    expect(program.buffers[program.inputs.unread].offset).toBeDefined();
  });

  it('keeps inputs and outputs for the whole run', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [100]);
    const early = scale(x, 2);
    graph.output('early', early);
    let y = early;
    for (let i = 0; i < 6; i++) y = scale(y, 2);
    graph.output('late', y);
    const { buffers, inputs, outputs } = compile(graph, options);
    const own = [inputs.x, outputs.early, outputs.late].map((index) => buffers[index].offset);
    expect(new Set(own).size).toBe(3);
    for (const [index, buffer] of buffers.entries()) {
      if (index === inputs.x || index === outputs.early) continue;
      expect([own[0], own[1]]).not.toContain(buffer.offset);
    }
  });

  it('writes in place where the operation allows it and the input dies', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [5]);
    const [dies, lives] = [scale(x, 2), scale(x, 3)];
    graph.output('a', bumped(dies));
    graph.output('b', add(bumped(lives), lives));
    graph.output('c', bumped(x));
    const { calls } = compile(graph, options);
    const inPlace = calls.map((call) => call.operation === 'testBump' && call.inputs[0] === call.outputs[0]);
    expect(inPlace).toEqual([false, false, true, false, false, false]);
  });

  it('asks for scratch memory with the threads that a call gets', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [4, 2]);
    const targets = graph.source('input', 'targets', [4], 'int32');
    const weights = graph.source('input', 'weights', [4]);
    graph.output('loss', linearCrossEntropy({ x, w: x, targets, weights }, { chunk: 2 }).loss);
    const { calls, buffers } = compile(graph, options);
    const workspace = buffers[calls[0].workspace ?? -1];
    expect(workspace.role).toBe('workspace');
    expect(workspace.bytes).toBeGreaterThan(0);
  });

  it('reports a peak that the arena hardly exceeds', () => {
    const graph = new Graph();
    let x = graph.source('input', 'x', [1000]);
    const kept: Tensor[] = [];
    for (let i = 0; i < 30; i++) {
      x = scale(x, 0.5);
      kept.push(x);
    }
    graph.output(
      'y',
      kept.reduceRight((a, b) => add(a, b)),
    );
    const { arenaBytes, peakLiveBytes } = compile(graph, options);
    expect(arenaBytes).toBeGreaterThanOrEqual(peakLiveBytes);
    expect(arenaBytes).toBeLessThanOrEqual(1.1 * peakLiveBytes);
  });

  it('plans two thousand calls quickly', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [64]);
    const kept: Tensor[] = [x];
    for (let i = 0; i < 2000; i++) kept.push(add(kept[i], kept[(i * 7919) % (i + 1)]));
    graph.output('y', kept[2000]);
    compile(graph, options);
    const begin = performance.now();
    compile(graph, options);
    // Takes about 60 ms alone; the bound leaves room for a busy machine.
    expect(performance.now() - begin).toBeLessThan(1000);
  });
});

describe('compile: new values of persistent tensors', () => {
  it('lets the optimizer write into parameters and moments, and the shadow after its last reader', async () => {
    const graph = new Graph();
    const one = (name: string): Tensor => graph.source('input', name, [1]);
    const p = graph.source('parameter', 'w', [3]);
    const m = graph.source('optimizer', 'w.m', [3]);
    const v = graph.source('optimizer', 'w.v', [3]);
    const shadow = graph.source('shadow', 'w', [3], 'bfloat16');
    const g = add(shadow, p);
    const updated = adamw(
      { p, g, m, v, scale: one('scale'), learningRate: one('rate'), step: one('step') },
      { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1 },
    );
    graph.assign(p, updated.p);
    graph.assign(m, updated.m);
    graph.assign(v, updated.v);
    graph.assign(shadow, updated.shadow);
    const given = {
      w: [1, 2, 3],
      'w.m': [0, 0, 0],
      'w.v': [0, 0, 0],
      scale: [1],
      rate: [0.5],
      step: [1],
    };
    const run = await runGraph(graph, given);
    expect(operations(run.program)).toEqual(['add', 'adamw']);
    // The first step moves by the learning rate against the sign of the gradient, after the decay.
    [0.45, 1.4, 2.35].forEach((value, i) => {
      expect(stored(run, 'parameter/w')[i]).toBeCloseTo(value, 6);
      expect(stored(run, 'shadow/w')[i]).toBeCloseTo(value, 6);
    });
    expect(stored(run, 'optimizer/w.m')[1]).toBeCloseTo(0.4, 12);
  });

  it('copies when the old value is still needed', async () => {
    const graph = new Graph();
    const s = graph.source('state', 's', [2]);
    const next = bumped(s);
    graph.assign(s, next);
    graph.output('both', add(next, s));
    const run = await runGraph(graph, { s: [1, 2] });
    expect(operations(run.program)).toEqual(['testBump', 'add', 'cast']);
    expect(run.outputs.both).toEqual([3, 5]);
    expect(stored(run, 'state/s')).toEqual([2, 3]);
  });

  it('writes straight when the call does not read the old value, and copies when it reads it otherwise than in place', async () => {
    const graph = new Graph();
    const [a, b] = [graph.source('state', 'a', [2]), graph.source('state', 'b', [2])];
    graph.assign(a, scale(graph.source('input', 'x', [2]), 3));
    graph.assign(b, softmax(b));
    const run = await runGraph(graph, { a: [0, 0], b: [1, 1], x: [5, 6] });
    expect(operations(run.program)).toEqual(['scale', 'softmax', 'cast']);
    expect(stored(run, 'state/a')).toEqual([15, 18]);
    expect(stored(run, 'state/b')).toEqual([0.5, 0.5]);
  });

  it('exchanges two states', async () => {
    const graph = new Graph();
    const [a, b] = [graph.source('state', 'a', [2]), graph.source('state', 'b', [2])];
    graph.assign(a, b);
    graph.assign(b, a);
    const run = await runGraph(graph, { a: [1, 2], b: [3, 4] });
    expect([stored(run, 'state/a'), stored(run, 'state/b')]).toEqual([
      [3, 4],
      [1, 2],
    ]);
  });

  it('gives the host the old value of a state, and stores values that are results or seen in another shape', async () => {
    const graph = new Graph();
    const [a, b] = [graph.source('state', 'a', [2]), graph.source('state', 'b', [2, 1])];
    const next = scale(graph.source('input', 'x', [2]), 3);
    graph.output('old', a);
    graph.output('next', next);
    graph.output('column', reshape(b, [1, 2]));
    graph.assign(a, next);
    graph.assign(b, reshape(next, [2, 1]));
    const run = await runGraph(graph, { a: [1, 2], b: [7, 8], x: [5, 6] });
    expect(run.outputs).toEqual({ old: [1, 2], next: [15, 18], column: [7, 8] });
    expect(stored(run, 'state/a')).toEqual([15, 18]);
    expect(stored(run, 'state/b')).toEqual([15, 18]);
  });

  it('accumulates into a persistent gradient', async () => {
    const graph = new Graph();
    const total = graph.source('gradient', 'w', [2]);
    const keep = graph.source('input', 'keep', [1]);
    graph.assign(total, accumulate(total, scale(graph.source('input', 'g', [2]), 1), keep));
    const run = await runGraph(graph, { w: [10, 20], g: [1, 2], keep: [1] });
    expect(operations(run.program)).toEqual(['scale', 'accumulate']);
    expect(stored(run, 'gradient/w')).toEqual([11, 22]);
  });
});

/** Two branches of a block side by side; the first has more to do. */
function branches(graph: Graph, x: Tensor): Tensor {
  const [a, b] = [0, 1].map((index) =>
    graph.lane({ group: 'block', index }, () => {
      let h = x;
      for (let i = 0; i < (index === 0 ? 9 : 3); i++) h = scale(h, 2);
      return h;
    }),
  );
  return add(a, b);
}

describe('compile: lanes', () => {
  it('puts the lanes of a group side by side, with threads by their work', () => {
    const graph = new Graph();
    graph.output('y', branches(graph, scale(graph.source('input', 'x', [100]), 1)));
    const { schedule, calls } = compile(graph, { name: 'test', threads: 4, lanes: true });
    expect(schedule).toHaveLength(3);
    const group = schedule[1];
    if ('call' in group) throw new Error('The second item should be a group of lanes.');
    expect(group.group).toBe('block');
    expect(group.lanes.map((lane) => lane.threads)).toEqual([3, 1]);
    expect(group.lanes.map((lane) => lane.calls.length)).toEqual([9, 3]);
    expect(calls).toHaveLength(14);
  });

  it('runs them one after the other without lanes or with too few threads', () => {
    for (const given of [
      { threads: 4, lanes: false },
      { threads: 1, lanes: true },
    ]) {
      const graph = new Graph();
      graph.output('y', branches(graph, graph.source('input', 'x', [4])));
      const { schedule } = compile(graph, { name: 'test', ...given });
      expect(schedule.every((item) => 'call' in item)).toBe(true);
    }
  });

  it('refuses lanes that read from each other', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [4]);
    const a = graph.lane({ group: 'block', index: 0 }, () => scale(x, 2));
    graph.output(
      'y',
      graph.lane({ group: 'block', index: 1 }, () => scale(a, 2)),
    );
    expect(() => compile(graph, { name: 'test', threads: 2, lanes: true })).toThrow(
      /must not depend on each other/,
    );
  });

  it('refuses a group that waits for itself', () => {
    const graph = new Graph();
    const once = branches(graph, graph.source('input', 'x', [4]));
    graph.output('y', branches(graph, scale(once, 1)));
    expect(() => compile(graph, { name: 'test', threads: 2, lanes: true })).toThrow(/lanes of 'block'/);
  });
});

/** One step of a random program: an operation on earlier tensors, at top level or in a lane of a group. */
const recipe = fc.array(
  fc.record({
    kind: fc.constantFrom('add', 'subtract', 'multiply', 'scale', 'reshape', 'bump', 'low'),
    operands: fc.tuple(fc.nat(), fc.nat()),
    /** 0: outside of lanes, which also closes the open group. */
    lane: fc.nat(3),
    output: fc.boolean(),
    assign: fc.nat(6),
  }),
  { minLength: 1, maxLength: 40 },
);

function randomGraph(steps: typeof recipe extends fc.Arbitrary<infer T> ? T : never): Graph {
  const graph = new Graph();
  const x = graph.source('input', 'x', [6]);
  const states = [0, 1, 2].map((i) => graph.source('state', `s${i}`, [6]));
  const outside: Tensor[] = [x, ...states];
  let inLanes: Tensor[][] = [[], [], []];
  let group = 0;
  const assigned = new Set<number>();
  steps.forEach(({ kind, operands, lane, output, assign }, step) => {
    if (lane === 0) {
      outside.push(...inLanes.flat());
      inLanes = [[], [], []];
      group++;
    }
    const visible = lane === 0 ? outside : [...outside, ...inLanes[lane - 1]];
    const [a, b] = operands.map((index) => visible[visible.length - 1 - (index % visible.length)]);
    const build = (): Tensor => {
      if (kind === 'add') return add(a, b);
      if (kind === 'subtract') return subtract(a, b);
      if (kind === 'multiply') return multiply(scale(a, 0.5), b);
      if (kind === 'scale') return scale(a, -0.75);
      if (kind === 'reshape') return reshape(scale(reshape(a, [2, 3]), 2), [6]);
      if (kind === 'bump') return bumped(a);
      return cast(cast(a, 'bfloat16'), 'float32');
    };
    const made = lane === 0 ? build() : graph.lane({ group: `g${group}`, index: lane }, build);
    (lane === 0 ? outside : inLanes[lane - 1]).push(made);
    if (output) graph.output(`y${step}`, made);
    if (assign < 3 && !assigned.has(assign)) {
      assigned.add(assign);
      graph.assign(states[assign], made);
    }
  });
  graph.output('total', sum(outside[outside.length - 1]));
  return graph;
}

describe('compile: any graph', () => {
  const given = Object.fromEntries(
    ['x', 's0', 's1', 's2'].map((name, i) => [name, floats([6], { seed: i + 1 }).values]),
  );

  it('computes what the calls mean, with and without lanes, on its planned memory', async () => {
    await fc.assert(
      fc.asyncProperty(recipe, fc.constantFrom(1, 2, 3, 4), fc.boolean(), async (steps, threads, lanes) => {
        const graph = randomGraph(steps);
        const wanted = [...graph.outputs.values(), ...graph.assignments.values()];
        const sources = new Map(graph.sources.map((source) => [source, given[source.name]]));
        const expected = evaluateTensors(graph, sources, wanted, 'float32').map((values) =>
          Array.from(values),
        );
        const run = await runGraph(graph, given, { threads, lanes, precision: 'float32' });
        const found = [
          ...[...graph.outputs.keys()].map((name) => run.outputs[name]),
          ...[...graph.assignments.keys()].map((source) => stored(run, `state/${source.name}`)),
        ];
        expect(found).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  it('gives every buffer room inside the arena, aligned', () => {
    fc.assert(
      fc.property(recipe, (steps) => {
        const program = compile(randomGraph(steps), { name: 'test', threads: 3, lanes: true });
        for (const { offset, bytes, shape, dtype } of program.buffers) {
          expect(bytes).toBe(byteSize({ shape, dtype }));
          if (offset === undefined) continue;
          expect(offset % 64).toBe(0);
          expect(offset + bytes).toBeLessThanOrEqual(program.arenaBytes);
        }
        const scheduled = program.schedule.flatMap((item) =>
          'call' in item ? [item.call] : item.lanes.flatMap((lane) => lane.calls),
        );
        expect(scheduled.toSorted((a, b) => a - b)).toEqual(program.calls.map((_, index) => index));
      }),
      { numRuns: 50 },
    );
  });
});
