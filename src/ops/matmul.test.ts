import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { matmul } from './matmul.ts';
import { cast } from './tensor.ts';
import type { TestInput } from './testing.ts';
import { checkGradient, floats, givenFloats, run } from './testing.ts';

/** The definition, index by index. */
function naive(m: number, n: number, k: number, a: (i: number, k: number) => number, b: typeof a): number[] {
  return Array.from({ length: m * n }, (_, at) => {
    let total = 0;
    for (let i = 0; i < k; i++) total += a(Math.floor(at / n), i) * b(i, at % n);
    return total;
  });
}

const sizes = [
  [1, 1, 1],
  [1, 63, 3],
  [3, 5, 1],
  [6, 4, 63],
] as const;

describe('matmul', () => {
  it.each(sizes)('equals its definition in all layouts: m = %i, n = %i, k = %i', (m, n, k) => {
    const a = floats([m, k]);
    const b = floats([k, n], { seed: 2 });
    const flip = ({ shape: [rows, columns], values }: TestInput): TestInput =>
      givenFloats(
        [columns, rows],
        Array.from(
          { length: rows * columns },
          (_, at) => values[(at % rows) * columns + Math.floor(at / rows)],
        ),
      );
    const expected = naive(
      m,
      n,
      k,
      (i, c) => a.values[i * k + c],
      (c, j) => b.values[c * n + j],
    );
    const results = [
      run((x, y) => matmul(x, y), [a, b])[0],
      run((x, y) => matmul(x, y, { transposeB: true }), [a, flip(b)])[0],
      run((x, y) => matmul(x, y, { transposeA: true }), [flip(a), b])[0],
    ];
    for (const result of results) {
      result.forEach((value: number, i: number) => {
        expect(value).toBeCloseTo(expected[i], 12);
      });
    }
  });

  it.each(sizes)('has gradients in all layouts: m = %i, n = %i, k = %i', (m, n, k) => {
    const bias = floats([n], { seed: 3 });
    const addend = floats([m, n], { seed: 4 });
    checkGradient(
      (a, b, c, d) => matmul(a, b, { bias: c, addend: d }),
      [floats([m, k]), floats([k, n]), bias, addend],
    );
    checkGradient((a, b) => matmul(a, b, { transposeB: true }), [floats([1, m, k]), floats([n, k])]);
    checkGradient(
      (a, b, c) => matmul(a, b, { transposeA: true, bias: c }),
      [floats([1, k, m]), floats([1, k, n]), bias],
    );
  });

  it('contracts over all leading axes with transposeA', () => {
    checkGradient(
      (a, b, d) => matmul(a, b, { transposeA: true, addend: d }),
      [floats([2, 3, 4]), floats([2, 3, 5]), floats([4, 5])],
    );
  });

  it('multiplies bfloat16 operands and their gradients', () => {
    const low: typeof matmul = (a, b, options) => matmul(cast(a, 'bfloat16'), cast(b, 'bfloat16'), options);
    checkGradient((a, b) => low(a, b, { dtype: 'bfloat16' }), [floats([3, 4]), floats([4, 2])]);
    const [y] = run((a, b) => low(a, b), [givenFloats([1, 1], [1.2345]), givenFloats([1, 1], [1.2345])], {
      precision: 'float32',
    });
    expect(y[0]).toBe(1.234375 ** 2);
  });

  it('counts 2·M·N·K model FLOPs, and bias and addend apart', () => {
    const graph = new Graph();
    const a = graph.source('input', 'a', [2, 3, 4]);
    const b = graph.source('parameter', 'b', [5, 4]);
    const bias = graph.source('parameter', 'bias', [5]);
    const node = matmul(a, b, { transposeB: true, bias }).producer?.node;
    expect(node?.operation.cost(node.inputs, node.outputs, node.attributes)).toEqual({
      model: 2 * 6 * 5 * 4,
      executed: 2 * 6 * 5 * 4,
      elementwise: 30,
      bytes: 4 * (24 + 20 + 5 + 30),
    });
    const dw = matmul(a, a, { transposeA: true }).producer?.node;
    expect(dw?.operation.cost(dw.inputs, dw.outputs, dw.attributes).model).toBe(2 * 4 * 4 * 6);
  });

  it('refuses shapes that do not fit, mixed dtypes and both transposes', () => {
    const graph = new Graph();
    const a = graph.source('input', 'a', [2, 3]);
    const b = graph.source('parameter', 'b', [2, 3]);
    const low = graph.source('parameter', 'low', [3, 2], 'bfloat16');
    const bias = graph.source('parameter', 'bias', [3]);
    expect(() => graph.scope('mlp', () => matmul(a, b))).toThrow(
      "matmul in mlp: the last axis of 'a' (3) must be the first of 'b' (2). Given: float32[2, 3], float32[2, 3], none, none.",
    );
    expect(() => matmul(a, low)).toThrow("'a' and 'b' must both be float32 or both be bfloat16");
    expect(() => matmul(a, b, { transposeA: true, transposeB: true })).toThrow('together are not supported');
    expect(() => matmul(a, b, { transposeB: true, bias })).toThrow("'bias' must have shape [2]");
    expect(() => matmul(a, b, { transposeB: true, addend: a })).toThrow("'addend' must have shape [2, 2]");
    expect(() => matmul(a, bias)).toThrow("'b' must be a matrix");
  });
});
