import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { balancedTokens } from './balance.ts';

describe('balancedTokens', () => {
  it("finds the root of FlowHN's equation for causal scores", () => {
    // 135M at length 1024: A x + 2d x² against S (L − x), whose root is 577.1.
    const attention = (x: number): number => 12_386_304 * x + 2 * 768 * x * x;
    const ssm = (x: number): number => 17_144_832 * x;
    expect(balancedTokens(1024, attention, ssm)).toBe(577);
  });

  it('is the best of all splits, whatever the costs', () => {
    const cost = fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.nat(50));
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 80 }), cost, cost, (length, [a, aa], [b, bb]) => {
        const first = (x: number): number => a * x + aa * x * x;
        const second = (x: number): number => b * x + bb * x * x;
        const difference = (x: number): number => Math.abs(first(x) - second(length - x));
        const found = balancedTokens(length, first, second);
        expect(found).toBeGreaterThanOrEqual(1);
        expect(found).toBeLessThan(length);
        for (let x = 1; x < length; x++) expect(difference(found)).toBeLessThanOrEqual(difference(x));
      }),
    );
  });
});
