import { describe, expect, it } from 'vitest';
import { compile } from '../compiler/index.ts';
import type { Tensor } from '../graph/index.ts';
import { BraidError, Graph } from '../graph/index.ts';
import { activation, add, cast, scale } from '../ops/index.ts';
import type { NonFinite } from './executor.ts';
import { createReferenceExecutor } from './reference.ts';
import { runGraph } from './testing.ts';

const options = { name: 'test', threads: 1 };

function exponentials(): Graph {
  const graph = new Graph();
  const x = graph.source('input', 'x', [2]);
  const y = graph.scope('blocks.0', () => activation(x, { kind: 'exp' }));
  graph.output(
    'y',
    graph.scope('blocks.1', () => scale(y, 2)),
  );
  return graph;
}

describe('reference executor', () => {
  it('runs again with new inputs, and leaves untouched ones as they were', async () => {
    const graph = new Graph();
    const [a, b] = [graph.source('input', 'a', [2]), graph.source('input', 'b', [2])];
    graph.output('y', add(scale(a, 2), b));
    const executor = createReferenceExecutor();
    const loaded = executor.load(compile(graph, options), executor.createStore());
    loaded.inputs.get('a')?.set([1, 2]);
    loaded.inputs.get('b')?.set([10, 20]);
    await loaded.run();
    expect([...(loaded.outputs.get('y') ?? [])]).toEqual([12, 24]);
    loaded.inputs.get('a')?.set([3, 4]);
    await loaded.run();
    expect([...(loaded.outputs.get('y') ?? [])]).toEqual([16, 28]);
  });

  it('rounds to BF16 in float32 and not at all in float64', async () => {
    const graph = new Graph();
    const low = cast(graph.source('input', 'x', [3]), 'bfloat16');
    graph.output('low', low);
    graph.output('y', cast(low, 'float32'));
    const x = [1 + 2 ** -9, 1 / 3, 3];
    const rounded = [1, 0.333984375, 3];
    const single = await runGraph(graph, { x }, { precision: 'float32' });
    expect(single.outputs).toEqual({ low: rounded, y: rounded });
    const double = await runGraph(graph, { x }, { precision: 'float64' });
    expect(double.outputs).toEqual({ low: x, y: x });
  });

  it('names the first call that produced an infinity when asked to check', async () => {
    const failure = await runGraph(exponentials(), { x: [1, 1e4] }, { check: true }).catch((error) => error);
    expect(failure).toBeInstanceOf(BraidError);
    expect(failure.code).toBe('diverged');
    expect(failure.message).toContain('activation in blocks.0');
    const cause: NonFinite = failure.cause;
    expect(cause).toEqual({ call: 0, operation: 'activation', path: 'blocks.0' });
    expect((await runGraph(exponentials(), { x: [1, 1e4] })).outputs.y[1]).toBe(Number.POSITIVE_INFINITY);
  });

  it('reports the time of every call, and busy lanes', async () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [4]);
    const [a, b] = [0, 1].map(
      (index): Tensor => graph.lane({ group: 'block', index }, () => scale(scale(x, 2), index)),
    );
    graph.output('y', add(a, b));
    const { statistics } = await runGraph(
      graph,
      { x: [1, 2, 3, 4] },
      { profile: true, lanes: true, threads: 2 },
    );
    expect(statistics.calls?.map(({ call }) => call).toSorted()).toEqual([0, 1, 2, 3, 4]);
    expect(statistics.lanes).toHaveLength(1);
    expect(statistics.lanes[0].group).toBe('block');
    expect(statistics.lanes[0].busy).toHaveLength(2);
  });

  it('shows memory that no call has written', async () => {
    const graph = new Graph();
    graph.output('y', scale(graph.source('input', 'x', [2]), 2));
    const program = compile(graph, options);
    const executor = createReferenceExecutor();
    const loaded = executor.load({ ...program, schedule: [] }, executor.createStore());
    loaded.inputs.get('x')?.set([1, 2]);
    await loaded.run();
    expect([...(loaded.outputs.get('y') ?? [])]).toEqual([Number.NaN, Number.NaN]);
    expect([...(loaded.inputs.get('x') ?? [])]).toEqual([1, 2]);
  });

  it('refuses a program of another version, a foreign store, and to run after dispose', async () => {
    const program = compile(exponentials(), options);
    const executor = createReferenceExecutor();
    const store = executor.createStore();
    expect(() => executor.load({ ...program, version: 0 }, store)).toThrow(/has version 0/);
    const other = createReferenceExecutor({ precision: 'float64' }).createStore();
    expect(() => executor.load(program, other)).toThrow(BraidError);
    const loaded = executor.load(program, store);
    loaded.dispose();
    await expect(loaded.run()).rejects.toThrow(/was disposed/);
  });
});

describe('reference store', () => {
  it('makes a tensor of zeros once, and refuses another type under its key', () => {
    const store = createReferenceExecutor().createStore();
    const made = store.tensor('parameter/w', 'float32', [2, 3]);
    expect([...made.data]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(store.tensor('parameter/w', 'float32', [2, 3])).toBe(made);
    expect(() => store.tensor('parameter/w', 'float32', [6])).toThrow(/float32\[2, 3\].*float32\[6\]/);
    expect(store.bytes).toBe(24);
    expect(store.keys()).toEqual(['parameter/w']);
    store.delete('parameter/w');
    store.delete('parameter/w');
    expect(store.find('parameter/w')).toBeUndefined();
  });
});
