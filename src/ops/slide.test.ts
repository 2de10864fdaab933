import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Values } from '../graph/index.ts';
import { Graph } from '../graph/index.ts';
import { evaluate, gradientErrors, numbers } from './sequenceTesting.ts';
import { slide } from './slide.ts';

function slideGraph(capacity: number, length: number, sinks: number, batch = 1) {
  const graph = new Graph();
  const cache = graph.source('state', 'cache', [batch, capacity, 2]);
  const fresh = graph.source('input', 'fresh', [batch, length, 2]);
  const used = graph.source('state', 'used', [batch], 'int32');
  return { graph, ...slide(cache, fresh, used, { sinks }), old: cache };
}

/** Entry n of a row, of two numbers that nothing else has. */
const entries = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => [from + i + 1, -(from + i + 1)]).flat();

describe('slide', () => {
  it('keeps the sinks and the last entries, whatever the pieces, and gives them in order', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }),
        (sinks, window, pieces) => {
          const capacity = sinks + window;
          let state: Values = new Float64Array(2 * capacity);
          let used = 0;
          for (const length of pieces) {
            const { graph, ordered, cache } = slideGraph(capacity, length, sinks);
            const given = { cache: state, fresh: entries(used, used + length), used: [used] };
            const [all, next] = evaluate(graph, given, [ordered, cache]);
            const early = Math.min(used, sinks);
            const before = [...entries(0, early), ...entries(Math.max(early, used - window), used)];
            const seen = [...before, ...given.fresh];
            expect([...all]).toEqual([...seen, ...new Array(all.length - seen.length).fill(0)]);
            state = next;
            used += length;
          }
          const kept = [...entries(0, Math.min(used, sinks))];
          for (let slot = sinks; slot < capacity; slot++) {
            // The last entry that stands here, if there was one.
            const last = Math.floor((used - 1 - slot) / window) * window + slot;
            kept.push(...(last < slot ? [0, 0] : entries(last, last + 1)));
          }
          expect([...state].slice(0, Math.min(used, capacity) * 2)).toEqual(
            kept.slice(0, Math.min(used, capacity) * 2),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  it('puts entries where append does as long as they fit', () => {
    const { graph, cache } = slideGraph(6, 2, 2);
    const given = { cache: [...entries(0, 3), 0, 0, 0, 0, 0, 0], fresh: entries(3, 5), used: [3] };
    expect([...evaluate(graph, given, [cache])[0]]).toEqual([...entries(0, 5), 0, 0]);
  });

  it.each([
    [1, 0],
    [3, 1],
    [9, 2],
  ])('has gradients: pieces of %d, %d sinks', (length, sinks) => {
    const given = { cache: numbers(30, 1), fresh: numbers(6 * length, 2), used: [0, 3, 17] };
    for (const outputs of [[0, 1], [0], [1]]) {
      const { graph, ordered, cache } = slideGraph(5, length, sinks, 3);
      const wanted = outputs.map((output) => [ordered, cache][output]);
      const errors = gradientErrors(graph, given, wanted, ['cache', 'fresh']);
      for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(1e-6);
    }
  });

  it('writes into the memory of the cache', () => {
    const { graph, cache, old } = slideGraph(4, 2, 1);
    const given = { cache: entries(0, 4), fresh: entries(4, 6), used: [4] };
    const [expected] = evaluate(graph, given, [cache]);
    const node = cache.producer?.node;
    const memory = { shape: old.shape, dtype: old.dtype, values: Float64Array.from(given.cache) };
    const inputs = [
      memory,
      { shape: [1, 2, 2], dtype: 'float32' as const, values: Float64Array.from(given.fresh) },
      { shape: [1], dtype: 'int32' as const, values: Int32Array.from(given.used) },
    ];
    node?.operation.evaluate(inputs, [undefined, memory], node.attributes);
    expect([...memory.values]).toEqual([...expected]);
  });

  it('refuses sinks that leave no room', () => {
    expect(() => slideGraph(3, 1, 3)).toThrow(
      'sinks is 3; it must be a whole number from 0 to below the capacity, 3',
    );
  });
});
