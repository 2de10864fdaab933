import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { add, multiply, scale, subtract } from './elementwise.ts';
import { cast } from './tensor.ts';
import { checkGradient, floats, givenFloats, run } from './testing.ts';

const a = givenFloats([3], [1, -2, 3]);
const b = givenFloats([3], [0.5, 4, -1]);

describe('elementwise arithmetic', () => {
  it('computes', () => {
    const results = run((x, y) => [add(x, y), subtract(x, y), multiply(x, y), scale(x, -2)], [a, b]);
    expect(results.map((values) => [...values])).toEqual([
      [1.5, 2, 2],
      [0.5, -6, 4],
      [0.5, -8, -3],
      [-2, 4, -6],
    ]);
  });

  it.each([1, 3, 63])('has gradients at size %i', (size) => {
    const inputs = [floats([size]), floats([size], { seed: 2 })];
    for (const operation of [add, subtract, multiply]) checkGradient((x, y) => operation(x, y), inputs);
    checkGradient((x) => scale(x, 0.3), [floats([size])]);
    checkGradient((x) => multiply(x, x), [floats([size])]);
  });

  it('reads bfloat16 and stores it where asked', () => {
    const [y] = run(
      (x) => multiply(cast(x, 'bfloat16'), x, { dtype: 'bfloat16' }),
      [givenFloats([1], [1.2345])],
      { precision: 'float32' },
    );
    // 1.2345 is 1.234375 in bfloat16, and 1.234375 · 1.2345 = 1.52383… is 1.5234375.
    expect(y[0]).toBe(1.5234375);
  });

  it('refuses other shapes and dtypes', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 3]);
    const y = graph.source('input', 'y', [3, 2]);
    const ids = graph.source('input', 'ids', [2, 3], 'int32');
    expect(() => graph.scope('head', () => add(x, y))).toThrow(
      "add in head: 'b' must have shape [2, 3], but is float32[3, 2]. Given: float32[2, 3], float32[3, 2].",
    );
    expect(() => multiply(x, ids)).toThrow("'b' is int32[2, 3]; allowed: float32 or bfloat16.");
    expect(() => scale(x, Number.POSITIVE_INFINITY)).toThrow('attribute factor is Infinity');
  });

  it('counts one operation per element and the traffic', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 3]);
    const y = add(x, x, { dtype: 'bfloat16' });
    const node = y.producer?.node;
    expect(node?.operation.cost(node.inputs, node.outputs, node.attributes)).toEqual({
      model: 0,
      executed: 0,
      elementwise: 6,
      bytes: 6 * 4 * 2 + 6 * 2,
    });
  });
});
