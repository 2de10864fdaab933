import { describe, expect, it } from 'vitest';
import { compile, type Program } from '../compiler/index.ts';
import { BraidError, Graph } from '../graph/index.ts';
import { add, embedding, matmul, scale } from '../ops/index.ts';
import { createNativeExecutor, inspectNative } from './native.ts';

const report = inspectNative();

/** y = scale · (a · wᵀ), with w a parameter. */
function product(threads: number): Program {
  const graph = new Graph();
  const a = graph.source('input', 'a', [5, 7]);
  const w = graph.source('parameter', 'w', [3, 7]);
  graph.output('y', scale(matmul(a, w, { transposeB: true }), 2));
  return compile(graph, { name: 'product', threads });
}

function parts(threads = 2) {
  const executor = createNativeExecutor({ threads, checkMemory: true });
  const store = executor.createStore();
  return { executor, store };
}

describe.skipIf(!report.available)('the native executor', () => {
  it.each(report.isas)('multiplies on %s', async (isa) => {
    const executor = createNativeExecutor({ threads: 2, isa });
    const store = executor.createStore();
    const program = executor.load(product(2), store);
    program.inputs.get('a')?.fill(1);
    store.find('parameter/w')?.data.set(Array.from({ length: 21 }, (_, i) => i));
    const { seconds, lanes } = await program.run();
    expect(executor.isa).toBe(isa);
    expect([...(program.outputs.get('y')?.subarray(0, 3) ?? [])]).toEqual([42, 140, 238]);
    expect(seconds).toBeGreaterThan(0);
    expect(lanes).toEqual([]);
  });

  it('shares persistent tensors between programs and keeps runs in order', async () => {
    const { executor, store } = parts();
    const first = executor.load(product(2), store);
    const second = executor.load(product(2), store);
    store.find('parameter/w')?.data.fill(1);
    first.inputs.get('a')?.fill(1);
    second.inputs.get('a')?.fill(2);
    await Promise.all([first.run(), second.run(), first.run()]);
    expect(first.outputs.get('y')?.[0]).toBe(14);
    expect(second.outputs.get('y')?.[0]).toBe(28);
    expect(store.keys()).toEqual(['parameter/w']);
    expect(store.bytes).toBe(84);
  });

  it('gives the time of every call when asked for a profile', async () => {
    const { executor, store } = parts();
    const program = executor.load(product(2), store);
    const { calls } = await program.run({ profile: true });
    expect(calls?.map(({ call }) => call)).toEqual([0, 1]);
    expect(calls?.every(({ seconds }) => seconds >= 0)).toBe(true);
    expect((await program.run()).calls).toBeUndefined();
  });

  it('names the first call that produced a NaN', async () => {
    const { executor, store } = parts();
    const graph = new Graph();
    const x = graph.source('input', 'x', [4]);
    const y = graph.scope('layer', () => scale(x, 3));
    graph.output('y', add(y, x));
    const program = executor.load(compile(graph, { name: 'p', threads: 2 }), store);
    program.inputs.get('x')?.set([1, Number.NaN, 0, 0]);
    await program.run();
    await expect(program.run({ check: true })).rejects.toMatchObject({
      code: 'diverged',
      message: 'scale in layer produced a NaN or an infinity.',
      cause: { call: 0, operation: 'scale', path: 'layer' },
    });
  });

  it('reports what a kernel refuses, with the layer', async () => {
    const { executor, store } = parts();
    const graph = new Graph();
    const table = graph.source('parameter', 'table', [3, 2]);
    const ids = graph.source('input', 'ids', [1, 2], 'int32');
    graph.output(
      'y',
      graph.scope('embed', () => embedding(table, ids)),
    );
    const program = executor.load(compile(graph, { name: 'p', threads: 2 }), store);
    program.inputs.get('ids')?.set([0, 3]);
    await expect(program.run()).rejects.toMatchObject({
      code: 'native',
      message: expect.stringContaining('embedding in embed'),
    });
    program.inputs.get('ids')?.set([0, 2]);
    await program.run();
    // The run before was short: this one happens on this thread.
    program.inputs.get('ids')?.set([-1, 0]);
    await expect(program.run()).rejects.toMatchObject({ code: 'native' });
  });

  it('lets the event loop turn before every run, however short', async () => {
    const { executor, store } = parts();
    const program = executor.load(product(2), store);
    await program.run();
    for (let run = 0; run < 3; run++) {
      let turned = false;
      setImmediate(() => {
        turned = true;
      });
      await program.run();
      expect(turned).toBe(true);
    }
  });

  it('refuses a short run whose program is disposed of while it waits for its turn', async () => {
    const { executor, store } = parts();
    const program = executor.load(product(2), store);
    await program.run();
    const running = program.run();
    await Promise.resolve();
    await Promise.resolve();
    program.dispose();
    await expect(running).rejects.toMatchObject({ code: 'executor' });
    store.dispose();
  });

  it('takes views away when a program or tensor goes, and refuses to delete what is in use', async () => {
    const { executor, store } = parts();
    const program = executor.load(product(2), store);
    const input = program.inputs.get('a');
    const weight = store.find('parameter/w')?.data;
    expect(() => store.delete('parameter/w')).toThrow(/use it/);
    const running = program.run();
    program.dispose();
    await expect(running).rejects.toMatchObject({ code: 'executor' });
    expect(input?.length).toBe(0);
    expect(weight?.length).toBe(21);
    store.delete('parameter/w');
    expect(weight?.length).toBe(0);
    expect(store.keys()).toEqual([]);
    store.dispose();
  });

  it('finishes a run whose program is disposed of meanwhile', async () => {
    const { executor, store } = parts();
    const program = executor.load(product(2), store);
    const running = program.run();
    await Promise.resolve();
    await Promise.resolve();
    program.dispose();
    store.dispose();
    await running.catch((error: unknown) => expect(error).toBeInstanceOf(BraidError));
  });

  it('rejects programs for other threads, other stores, unknown instruction sets and stored tensors of another type', () => {
    const { executor, store } = parts();
    expect(() => executor.load(product(1), store)).toThrow(/compiled for 1 threads, but the executor has 2/);
    expect(() => executor.load({ ...product(2), version: 99 }, store)).toThrow(/version 99/);
    expect(() => createNativeExecutor({ isa: 'mmx' })).toThrow(/'mmx' in this build. It has /);
    expect(() => createNativeExecutor({ threads: 0 })).toThrow(/1 to 1024/);
    store.tensor('parameter/v', 'float32', [2]);
    expect(() => store.tensor('parameter/v', 'int32', [2])).toThrow(/stored as float32\[2\]/);
  });
});
