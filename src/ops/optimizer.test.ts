import { describe, expect, it } from 'vitest';
import type { Operand } from '../graph/index.ts';
import { findOperation, Graph } from '../graph/index.ts';
import { accumulate, adamw, clipScale, gradientNorm } from './optimizer.ts';
import { roundToBfloat16 } from './plain.ts';
import { floats, givenFloats, run } from './testing.ts';

const one = (value: number) => givenFloats([1], [value]);

describe('gradientNorm', () => {
  it('is the norm of all gradients together', () => {
    const [norm] = run((a, b) => gradientNorm([a, b]), [givenFloats([2], [1, 2]), givenFloats([1, 1], [2])]);
    expect(norm[0]).toBe(3);
  });
});

describe('clipScale', () => {
  it.each([
    [4, 1, 1, 0.25],
    [0.5, 1, 1, 1],
    [0, 1, 1, 1],
    [4, 1, 0, 1],
    [Number.NaN, 1, 1, -1],
    [Number.POSITIVE_INFINITY, 1, 0, -1],
    [1, Number.NaN, 1, -1],
  ])('norm %f, loss %f, limit %f: %f', (norm, loss, limit, expected) => {
    const [scale] = run((n, l, m) => clipScale(n, l, m), [one(norm), one(loss), one(limit)]);
    expect(scale[0]).toBe(expected);
  });
});

const options = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1 };

function update(scale: number, step: number) {
  const shape = [63];
  const inputs = [
    floats(shape),
    floats(shape, { seed: 2 }),
    floats(shape, { seed: 3 }),
    floats(shape, { seed: 4, low: 0 }),
    one(scale),
    one(0.01),
    one(step),
  ];
  const results = run(
    (p, g, m, v, s, learningRate, n) =>
      Object.values(adamw({ p, g, m, v, scale: s, learningRate, step: n }, options)),
    inputs,
    { precision: 'float32' },
  );
  return { before: inputs.map(({ values }) => Float32Array.from(values)), after: results };
}

describe('adamw', () => {
  it('equals the published update', () => {
    const { before, after } = update(0.5, 3);
    const [p, g, m, v] = before;
    for (let i = 0; i < p.length; i++) {
      const gradient = 0.5 * g[i];
      const mean = 0.9 * m[i] + 0.1 * gradient;
      const square = 0.95 * v[i] + 0.05 * gradient ** 2;
      const corrected = mean / (1 - 0.9 ** 3) / (Math.sqrt(square / (1 - 0.95 ** 3)) + 1e-8);
      expect(after[0][i]).toBeCloseTo(p[i] - 0.01 * 0.1 * p[i] - 0.01 * corrected, 6);
      expect(after[1][i]).toBeCloseTo(mean, 6);
      expect(after[2][i]).toBeCloseTo(square, 6);
      expect(after[3][i]).toBe(roundToBfloat16(after[0][i]));
    }
  });

  it('changes nothing for a negative scale, whatever the gradient', () => {
    const { before, after } = update(-1, 1);
    expect(after[0]).toEqual(before[0]);
    expect(after[1]).toEqual(before[2]);
    expect(after[2]).toEqual(before[3]);
    expect([...after[3]]).toEqual([...before[0]].map(roundToBfloat16));
    const nan = givenFloats([1], [Number.NaN]);
    const [p] = run(
      (parameter, g, m, v, scale, rate, step) =>
        adamw({ p: parameter, g, m, v, scale, learningRate: rate, step }, options).p,
      [one(2), nan, one(0), one(0), one(-1), one(0.1), one(1)],
    );
    expect(p[0]).toBe(2);
  });

  it('may write over p, m and v, and leave out what nobody reads', () => {
    const operand = (value: number): Operand => ({
      shape: [1],
      dtype: 'float32',
      values: Float32Array.of(value),
    });
    const [p, g, m, v] = [1, 0.5, 0.1, 0.2].map(operand);
    const inputs = [p, g, m, v, operand(1), operand(0.1), operand(2)];
    const [expected] = run(
      (a, b, c, d, e, f, h) =>
        adamw({ p: a, g: b, m: c, v: d, scale: e, learningRate: f, step: h }, options).p,
      inputs.map(({ values }) => one(values[0])),
      { precision: 'float32' },
    );
    findOperation('adamw').evaluate(inputs, [p, m, v, undefined], options);
    expect(p.values[0]).toBe(expected[0]);
    expect(m.values[0]).toBeCloseTo(0.14, 6);
  });

  it('refuses moments of another shape', () => {
    const graph = new Graph();
    const p = graph.source('parameter', 'p', [2]);
    const s = graph.source('input', 's', [1]);
    expect(() => adamw({ p, g: p, m: s, v: p, scale: s, learningRate: s, step: s }, options)).toThrow(
      "adamw: 'm' must have shape [2], but is float32[1].",
    );
  });
});

describe('accumulate', () => {
  it('adds, or starts anew without reading the buffer', () => {
    const g = givenFloats([2], [1, 2]);
    const poison = givenFloats([2], [Number.NaN, 1]);
    expect([...run((b, x, k) => accumulate(b, x, k), [poison, g, one(0)])[0]]).toEqual([1, 2]);
    expect([...run((b, x, k) => accumulate(b, x, k), [g, g, one(1)])[0]]).toEqual([2, 4]);
  });
});
