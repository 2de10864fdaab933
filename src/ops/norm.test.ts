import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { rmsNorm, rmsNormBackward } from './norm.ts';
import { cast } from './tensor.ts';
import { checkGradient, floats, givenFloats, run } from './testing.ts';

describe('rmsNorm', () => {
  it('divides by the root of the mean square', () => {
    const x = givenFloats([2, 2], [3, 4, 0, 0]);
    const weight = givenFloats([2], [1, 2]);
    const [y, plain] = run(
      (t, w) => [rmsNorm(t, w, { epsilon: 0.5 }), rmsNorm(t, undefined, { epsilon: 0.5 })],
      [x, weight],
    );
    const scale = 1 / Math.sqrt(12.5 + 0.5);
    [3 * scale, 8 * scale, 0, 0].forEach((value, i) => {
      expect(y[i]).toBeCloseTo(value, 14);
    });
    expect(plain[1]).toBeCloseTo(4 * scale, 14);
  });

  it.each([
    [1, 1],
    [3, 1],
    [1, 3],
    [3, 63],
  ])('has gradients at %i × %i, with and without weight', (rows, width) => {
    const x = floats([rows, 1, width]);
    checkGradient((t, w) => rmsNorm(t, w, { epsilon: 1e-2 }), [x, floats([width], { seed: 2 })]);
    checkGradient((t) => rmsNorm(t, undefined, { epsilon: 1e-2 }), [x]);
  });

  it('reads bfloat16', () => {
    checkGradient(
      (x, w) => rmsNorm(cast(x, 'bfloat16'), w, { epsilon: 1e-5, dtype: 'bfloat16' }),
      [floats([2, 4]), floats([4])],
    );
  });

  it('gives either gradient alone', () => {
    const inputs = [floats([2, 3]), floats([3], { seed: 2 }), floats([2, 3], { seed: 3 })];
    const [dx, dWeight] = run((x, w, dy) => Object.values(rmsNormBackward(x, w, dy, { epsilon: 1 })), inputs);
    expect(run((x, w, dy) => rmsNormBackward(x, w, dy, { epsilon: 1 }).dx, inputs)[0]).toEqual(dx);
    expect(run((x, w, dy) => rmsNormBackward(x, w, dy, { epsilon: 1 }).dWeight, inputs)[0]).toEqual(dWeight);
  });

  it('refuses a weight of another width', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 3]);
    const weight = graph.source('parameter', 'weight', [2]);
    expect(() => graph.scope('norm', () => rmsNorm(x, weight, { epsilon: 1e-5 }))).toThrow(
      "rmsNorm in norm: 'weight' must have shape [3], but is float32[2].",
    );
  });
});
