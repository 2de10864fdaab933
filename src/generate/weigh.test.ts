import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { weigh } from './weigh.ts';

describe('softmax weights', () => {
  it('are those of Math.exp', () => {
    const logit = fc.double({ min: -900, max: 0, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(logit, { minLength: 1, maxLength: 40 }),
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        (logits, t) => {
          const weights = new Float64Array(logits.length);
          const most = Math.max(...logits);
          const total = weigh(logits, most, t, weights);
          let sum = 0;
          logits.forEach((value, i) => {
            const expected = Math.exp((value - most) / t);
            expect(Math.abs(weights[i] - expected)).toBeLessThanOrEqual(1e-8 * expected + 1e-300);
            sum += expected;
          });
          expect(Math.abs(total - sum)).toBeLessThan(1e-7 * sum);
        },
      ),
    );
  });

  it('are 1 for the most likely, 0 far below it and where a logit is minus infinity', () => {
    const weights = new Float64Array(4);
    weigh([2, -1000, Number.NEGATIVE_INFINITY, 2], 2, 1, weights);
    expect([...weights]).toEqual([1, expect.closeTo(0, 12), expect.closeTo(0, 12), 1]);
  });
});
