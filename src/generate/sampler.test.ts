import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../nn/random.ts';
import { createSampler, defaultSampling } from './sampler.ts';

const logitsOf = fc.array(fc.integer({ min: -6, max: 6 }), { minLength: 1, maxLength: 12 });
const optionsOf = fc.record({
  temperature: fc.constantFrom(0, 0.5, 1, 2),
  topK: fc.nat(5),
  topP: fc.constantFrom(0.1, 0.5, 0.9, 1),
  seed: fc.nat(1000),
});

/** Shares of the tokens over many draws. */
function shares(logits: readonly number[], options: Partial<typeof defaultSampling>, draws = 4000): number[] {
  const sample = createSampler({ ...defaultSampling, temperature: 1, ...options });
  const counts = logits.map(() => 0);
  for (let index = 0; index < draws; index++) counts[sample(logits, index)] += 1 / draws;
  return counts;
}

describe('sampling', () => {
  it('takes the most likely token, the first of equals, at temperature 0 and at top-k 1', () => {
    fc.assert(
      fc.property(logitsOf, optionsOf, (logits, options) => {
        const expected = logits.indexOf(Math.max(...logits));
        expect(createSampler({ ...options, temperature: 0 })(logits, 3)).toBe(expected);
        expect(createSampler({ ...options, topK: 1 })(logits, 3)).toBe(expected);
      }),
    );
  });

  it('repeats itself for the same seed and index', () => {
    fc.assert(
      fc.property(logitsOf, optionsOf, fc.nat(100), (logits, options, index) => {
        expect(createSampler(options)(logits, index)).toBe(
          createSampler(options)(Float32Array.from(logits), index),
        );
      }),
    );
  });

  it('never leaves the k most likely, nor the smallest set that reaches p', () => {
    fc.assert(
      fc.property(logitsOf, optionsOf, fc.nat(100), (logits, options, index) => {
        const { topK, topP } = options;
        const temperature = options.temperature || 1;
        const token = createSampler({ ...options, temperature })(logits, index);
        const order = logits.map((logit, i) => ({ i, weight: Math.exp(logit / temperature) }));
        order.sort((a, b) => b.weight - a.weight || a.i - b.i);
        const rank = order.findIndex(({ i }) => i === token);
        const kept = topK > 0 ? order.slice(0, topK) : order;
        expect(rank).toBeLessThan(kept.length);
        const total = kept.reduce((sum, { weight }) => sum + weight, 0);
        const before = kept.slice(0, rank).reduce((sum, { weight }) => sum + weight, 0);
        if (topP < 1) expect(before / total).toBeLessThan(topP + 1e-9);
      }),
    );
  });

  it('keeps the tokens that sorting keeps, in a vocabulary of any size', () => {
    const size = fc.integer({ min: 1, max: 2000 });
    fc.assert(
      fc.property(
        size,
        fc.nat(1e6),
        fc.nat(40),
        fc.constantFrom(0.3, 0.95, 1),
        (length, seed, topK, topP) => {
          const random = randomStream(seed, 'logits');
          // Few different values: many tokens are equally likely.
          const logits = Array.from({ length }, (_, i) => Math.floor(40 * random.uniform(i)) / 8);
          const ranked = logits.map((logit, token) => ({ token, weight: Math.exp(logit) }));
          ranked.sort((a, b) => b.weight - a.weight || a.token - b.token);
          const kept = topK > 0 ? ranked.slice(0, topK) : ranked;
          const total = kept.reduce((sum, { weight }) => sum + weight, 0);
          let sum = 0;
          const nucleus = kept.filter(({ weight }) => {
            const needed = sum < topP * total - 1e-9;
            sum += weight;
            return needed;
          });
          const allowed = new Set(nucleus.map(({ token }) => token));
          const sample = createSampler({ temperature: 1, topK, topP, seed });
          const drawn = new Set(Array.from({ length: 300 }, (_, index) => sample(logits, index)));
          for (const token of drawn) expect(allowed.has(token)).toBe(true);
          const rarest =
            nucleus[nucleus.length - 1].weight / nucleus.reduce((all, { weight }) => all + weight, 0);
          if (rarest > 0.05) expect(drawn.size).toBe(allowed.size);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('draws in proportion to the softmax', () => {
    const logits = [Math.log(1), Math.log(2), Math.log(5)];
    const close = (found: number[], expected: number[]): void => {
      for (const [token, share] of found.entries()) expect(share).toBeCloseTo(expected[token], 1);
    };
    close(shares(logits, {}), [1 / 8, 2 / 8, 5 / 8]);
    close(shares(logits, { temperature: 0.5 }), [1 / 30, 4 / 30, 25 / 30]);
    close(shares(logits, { topK: 2 }), [0, 2 / 7, 5 / 7]);
    close(shares(logits, { topP: 0.7 }), [0, 2 / 7, 5 / 7]);
    expect(shares(logits, { topP: 0.6 })).toEqual([0, 0, expect.closeTo(1, 6)]);
    expect(shares([0, 0, 0, 0], { topK: 2 })[2]).toBe(0);
  });

  it('refuses values that mean nothing', () => {
    const make = (options: Partial<typeof defaultSampling>) => () =>
      createSampler({ ...defaultSampling, ...options });
    expect(make({ temperature: -1 })).toThrow(/temperature is -1/);
    expect(make({ topK: 1.5 })).toThrow(/top-k is 1.5/);
    expect(make({ topP: 0 })).toThrow(/top-p is 0/);
    expect(() => createSampler(defaultSampling)([0, Number.NaN], 0)).toThrow(/token 1 is not a number/);
  });
});
