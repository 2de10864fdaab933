import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { gatherRows, scatterRows } from './expertsRows.ts';
import { checkGradient, floats, givenFloats, integers, run } from './testing.ts';

/** Three tokens with two rows each; row r stands for token ⌊order[r] / 2⌋. */
const order = integers([6], [1, 2, 5, 0, 4, 3]);

describe('gatherRows', () => {
  it('gives every row its token', () => {
    const [y] = run((x, o) => gatherRows(x, o, { repeat: 2 }), [givenFloats([3, 1], [10, 20, 30]), order]);
    expect([...y]).toEqual([10, 20, 30, 10, 30, 20]);
  });

  it('has its gradient: the sum over the rows of a token', () => {
    checkGradient((x, o) => gatherRows(x, o, { repeat: 2 }), [floats([3, 5]), order]);
    checkGradient((x, o) => gatherRows(x, o, { repeat: 1 }), [floats([6, 1]), order]);
  });

  it('stores bfloat16 rounded', () => {
    const [y] = run(
      (x, o) => gatherRows(x, o, { repeat: 1, dtype: 'bfloat16' }),
      [givenFloats([1, 2], [1 + 2 ** -9, 3]), integers([1], [0])],
      { precision: 'float32' },
    );
    expect([...y]).toEqual([1, 3]);
  });

  it('refuses an order of another length, and at run time one that points outside', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [3, 4]);
    const short = graph.source('input', 'order', [5], 'int32');
    expect(() => gatherRows(x, short, { repeat: 2 })).toThrow("'order' must have shape [6]");
    expect(() =>
      run((t, o) => gatherRows(t, o, { repeat: 1 }), [floats([1, 1]), integers([1], [1])]),
    ).toThrow('choice 1, outside [0, 1)');
  });
});

describe('scatterRows', () => {
  const y = givenFloats([6, 1], [1, 2, 3, 4, 5, 6]);

  it('adds up the rows of a token', () => {
    const [x] = run((t, o) => scatterRows(t, o, undefined, { repeat: 2 }), [y, order]);
    expect([...x]).toEqual([1 + 4, 2 + 6, 3 + 5]);
  });

  it('weighs every row with the weight of its choice', () => {
    const weights = givenFloats([3, 2], [1, 10, 100, 1000, 10000, 100000]);
    const [x] = run((t, o, w) => scatterRows(t, o, w, { repeat: 2 }), [y, order, weights]);
    expect([...x]).toEqual([10 * 1 + 1 * 4, 100 * 2 + 1000 * 6, 100000 * 3 + 10000 * 5]);
  });

  it('brings rows back to their tokens', () => {
    const [back] = run(
      (x, o, w) => scatterRows(gatherRows(x, o, { repeat: 2 }), o, w, { repeat: 2 }),
      [floats([3, 4]), order, givenFloats([3, 2], [0.25, 0.75, 1, 0, 0.5, 0.5])],
    );
    expect([...back]).toEqual([...Array.from(floats([3, 4]).values)]);
  });

  it('has its gradient, with weights and without', () => {
    checkGradient((t, o) => scatterRows(t, o, undefined, { repeat: 2 }), [floats([6, 3]), order]);
    checkGradient(
      (t, o, w) => scatterRows(t, o, w, { repeat: 2 }),
      [floats([6, 3]), order, floats([3, 2], { seed: 2 })],
    );
    checkGradient(
      (t, o, w) => scatterRows(t, o, w, { repeat: 1 }),
      [floats([1, 63]), integers([1], [0]), floats([1, 1], { seed: 2 })],
    );
  });

  it('refuses weights that do not fit the rows', () => {
    const graph = new Graph();
    const rows = graph.source('input', 'rows', [6, 4]);
    const own = graph.source('input', 'order', [6], 'int32');
    const weights = graph.source('input', 'weights', [2, 3]);
    expect(() => scatterRows(rows, own, weights, { repeat: 2 })).toThrow("'weights' must have shape [3, 2]");
    expect(() => scatterRows(rows, own, undefined, { repeat: 4 })).toThrow(
      '6 rows cannot be 4 for every token',
    );
  });
});
