import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { advance, append } from './append.ts';
import { evaluate, gradientErrors, numbers } from './sequenceTesting.ts';

function cacheGraph(length = 2) {
  const graph = new Graph();
  const cache = graph.source('state', 'cache', [2, 5, 3]);
  const fresh = graph.source('input', 'fresh', [2, length, 3]);
  const used = graph.source('state', 'used', [2], 'int32');
  return { graph, cache, fresh, used };
}

describe('advance', () => {
  it('counts, up to a bound where one is given', () => {
    const { graph, used } = cacheGraph();
    const found = evaluate(graph, { used: [0, 3] }, [
      advance(used, 2),
      advance(used, 2, 4),
      advance(used, 0, 2),
    ]);
    expect(found.map((values) => [...values])).toEqual([
      [2, 5],
      [2, 4],
      [0, 2],
    ]);
  });
});

describe('append', () => {
  const given = { cache: numbers(30, 1), fresh: numbers(12, 2), used: [0, 3] };

  it('writes each row behind its used entries and keeps the rest', () => {
    const { graph, cache, fresh, used } = cacheGraph();
    const [result] = evaluate(graph, given, [append(cache, fresh, used)]);
    const expected = given.cache.slice();
    expected.set(given.fresh.subarray(0, 6), 0);
    expected.set(given.fresh.subarray(6), 15 + 9);
    expect([...result]).toEqual([...expected]);
  });

  it('appends document numbers too', () => {
    const graph = new Graph();
    const cache = graph.source('state', 'cache', [1, 4], 'int32');
    const fresh = graph.source('input', 'fresh', [1, 2], 'int32');
    const used = graph.source('state', 'used', [1], 'int32');
    const [result] = evaluate(graph, { cache: [7, 7, 7, 7], fresh: [1, 2], used: [1] }, [
      append(cache, fresh, used),
    ]);
    expect([...result]).toEqual([7, 1, 2, 7]);
  });

  it('writes into the memory of the cache', () => {
    const { cache, fresh, used } = cacheGraph();
    const node = append(cache, fresh, used).producer?.node;
    const memory = { shape: cache.shape, dtype: cache.dtype, values: given.cache.slice() };
    const freshOperand = { shape: fresh.shape, dtype: fresh.dtype, values: given.fresh };
    const usedOperand = { shape: used.shape, dtype: used.dtype, values: Int32Array.from(given.used) };
    node?.operation.evaluate([memory, freshOperand, usedOperand], [memory], {});
    expect([...memory.values.subarray(0, 6)]).toEqual([...given.fresh.subarray(0, 6)]);
    expect([...memory.values.subarray(6, 24)]).toEqual([...given.cache.subarray(6, 24)]);
  });

  it('has the gradient of finite differences', () => {
    const { graph, cache, fresh, used } = cacheGraph();
    const errors = gradientErrors(graph, given, [append(cache, fresh, used)], ['cache', 'fresh']);
    for (const error of Object.values(errors)) expect(error).toBeLessThan(1e-6);
  });

  it('says which row has no room', () => {
    const { graph, cache, fresh, used } = cacheGraph();
    const result = append(cache, fresh, used);
    expect(() => evaluate(graph, { ...given, used: [0, 4] }, [result])).toThrow(
      'append: row 1 of the cache has 4 entries used and cannot take 2 more: its capacity is 5.',
    );
  });

  it('refuses a piece that can never fit, and one of another shape', () => {
    const { graph, cache, fresh, used } = cacheGraph(6);
    expect(() => append(cache, fresh, used)).toThrow('6 entries do not fit into a cache of capacity 5');
    const other = graph.source('input', 'other', [2, 2, 4]);
    expect(() => graph.scope('layer', () => append(cache, other, used))).toThrow(
      /append in layer: 'fresh' must be float32 \[2, 2, 3\]/,
    );
  });
});

describe('advance', () => {
  it('counts on', () => {
    const graph = new Graph();
    const used = graph.source('state', 'used', [2], 'int32');
    const [result] = evaluate(graph, { used: [0, 3] }, [advance(used, 2)]);
    expect([...result]).toEqual([2, 5]);
  });
});
