import { describe, expect, it } from 'vitest';
import { softmax } from './softmax.ts';
import { checkGradient, floats, givenFloats, run } from './testing.ts';

describe('softmax', () => {
  it('is exp over the sum of exp, per row', () => {
    const [y] = run(softmax, [givenFloats([2, 1, 2], [0, Math.log(3), 5, 5])]);
    [0.25, 0.75, 0.5, 0.5].forEach((value, i) => {
      expect(y[i]).toBeCloseTo(value, 15);
    });
  });

  it('does not overflow', () => {
    const [y] = run(softmax, [givenFloats([3], [1000, 999, -1000])], { precision: 'float32' });
    expect(y[0]).toBeCloseTo(1 / (1 + Math.exp(-1)), 6);
    expect([...y].every(Number.isFinite)).toBe(true);
  });

  it.each([[[1]], [[3, 1]], [[2, 3, 7]], [[5, 63]]])('has its gradient: %o', (shape) => {
    checkGradient(softmax, [floats(shape, { low: -3, high: 3 })]);
  });
});
