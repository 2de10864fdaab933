import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { balancedTokens, equalizeTimes, evenness } from './balance.ts';

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

describe('equalizeTimes', () => {
  const even = (first: (x: number) => number, second: (x: number) => number) => async (share: number) => ({
    share,
    first: first(share),
    second: second(1 - share),
  });

  it('needs two measurements where times grow with the positions', async () => {
    const [best, ...others] = await equalizeTimes(
      even(
        (x) => 3 * x,
        (x) => x,
      ),
      { start: 0.5 },
    );
    expect(best.share).toBeCloseTo(0.25);
    expect(others).toHaveLength(1);
  });

  it('comes near where they do not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0.1, max: 10, noNaN: true }),
        fc.double({ min: 0, max: 10, noNaN: true }),
        fc.double({ min: 0, max: 0.2, noNaN: true }),
        async (linear, quadratic, fixed) => {
          const measure = even(
            (x) => fixed + linear * x + quadratic * x * x,
            (x) => fixed + x,
          );
          const measured = await equalizeTimes(measure, { start: 0.5, most: 12 });
          expect(evenness(measured[0])).toBeGreaterThan(0.95);
        },
      ),
    );
  });

  it('keeps the best of what it measured when it does not settle', async () => {
    const noise = [0.5, 0.9, 0.6];
    let call = 0;
    const measured = await equalizeTimes(async (share) => ({ share, first: noise[call++], second: 1 }), {
      start: 0.5,
      most: 3,
    });
    expect(measured.map(({ first }) => first)).toEqual([0.9, 0.6, 0.5]);
  });
});
