import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { balanceBias, gatherColumns, groupTokens, topK } from './expertsChoice.ts';
import { checkGradient, floats, givenFloats, integers, run } from './testing.ts';

describe('topK', () => {
  const choose = (k: number, scores: number[], bias?: number[]): number[] => {
    const experts = bias?.length ?? scores.length;
    const inputs = [givenFloats([scores.length / experts, experts], scores)];
    if (bias) inputs.push(givenFloats([experts], bias));
    return [...run((x, b) => topK(x, b, { k }), inputs)[0]];
  };

  it('takes the highest, best first, and of equal ones the lower', () => {
    expect(choose(2, [0.1, 0.4, 0.3, 0.2])).toEqual([1, 2]);
    expect(choose(3, [5, 7, 7, 5])).toEqual([1, 2, 0]);
    expect(choose(4, [0, 0, 0, 0])).toEqual([0, 1, 2, 3]);
  });

  it('adds the bias before it compares', () => {
    expect(choose(1, [1, 2, 3, 3, 2, 1], [0, 0, 0])).toEqual([2, 0]);
    expect(choose(1, [1, 2, 3, 3, 2, 1], [0, 1.5, 0])).toEqual([1, 1]);
  });

  it('never repeats an expert, whatever the scores are', () => {
    const odd = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 1);
    fc.assert(
      fc.property(fc.array(odd, { minLength: 1, maxLength: 6 }), (scores) => {
        const chosen = choose(scores.length, scores);
        expect(chosen.sort()).toEqual(scores.map((_, i) => i));
      }),
    );
  });

  it('refuses more choices than experts', () => {
    const scores = new Graph().source('input', 'scores', [2, 3]);
    expect(() => topK(scores, undefined, { k: 4 })).toThrow('topK: k is 4, but there are only 3 experts');
  });
});

describe('gatherColumns', () => {
  it('reads the chosen columns', () => {
    const [y] = run(gatherColumns, [givenFloats([2, 3], [1, 2, 3, 4, 5, 6]), integers([2, 2], [2, 0, 1, 1])]);
    expect([...y]).toEqual([3, 1, 5, 5]);
  });

  it('has its gradient, also for a column that is read twice', () => {
    checkGradient(gatherColumns, [floats([3, 4]), integers([3, 2], [0, 3, 2, 2, 1, 0])]);
  });

  it('says which expert does not exist', () => {
    expect(() => run(gatherColumns, [floats([1, 2]), integers([1, 1], [2])])).toThrow(
      'expert 2 is outside [0, 2)',
    );
  });
});

describe('groupTokens', () => {
  it('orders the choices by expert, then by token', () => {
    const [order, offsets, load] = run(
      (index) => {
        const grouped = groupTokens(index, { experts: 4 });
        return [grouped.order, grouped.offsets, grouped.load];
      },
      [integers([3, 2], [2, 0, 0, 3, 2, 0])],
    );
    expect([...order]).toEqual([1, 2, 5, 0, 4, 3]);
    expect([...offsets]).toEqual([0, 3, 3, 5, 6]);
    expect([...load]).toEqual([3, 0, 2, 1]);
  });

  it('keeps every choice once, in groups that are in order, for any choices', () => {
    const choices = fc
      .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 9 }))
      .chain(([experts, k, tokens]) =>
        fc.record({
          experts: fc.constant(experts),
          k: fc.constant(k),
          index: fc.array(fc.integer({ min: 0, max: experts - 1 }), {
            minLength: k * tokens,
            maxLength: k * tokens,
          }),
        }),
      );
    fc.assert(
      fc.property(choices, ({ experts, k, index }) => {
        const [order, offsets] = run(
          (t) => {
            const grouped = groupTokens(t, { experts });
            return [grouped.order, grouped.offsets];
          },
          [integers([index.length / k, k], index)],
        );
        expect([...order].sort((a, b) => a - b)).toEqual(index.map((_, i) => i));
        expect(offsets[experts]).toBe(index.length);
        for (let expert = 0; expert < experts; expert++) {
          const own = [...order.slice(offsets[expert], offsets[expert + 1])];
          expect(own.every((choice) => index[choice] === expert)).toBe(true);
          expect(own).toEqual([...own].sort((a, b) => a - b));
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('balanceBias', () => {
  it('raises the bias of experts below the mean load and lowers it above', () => {
    const [bias] = run(
      (b, load) => balanceBias(b, load, { rate: 0.5 }),
      [givenFloats([3], [1, 2, 3]), givenFloats([3], [1, 4, 7])],
    );
    expect([...bias]).toEqual([1.5, 2, 2.5]);
  });

  it('brings the load of a router that favours one expert to the mean', () => {
    const tokens = 64;
    const scores = floats([tokens, 4]);
    const skewed = givenFloats(
      [tokens, 4],
      Array.from(scores.values, (value, i) => value + (i % 4 === 0 ? 1.5 : 0)),
    );
    let bias: ArrayLike<number> = [0, 0, 0, 0];
    let load: ArrayLike<number> = [];
    const first: number[] = [];
    for (let step = 0; step < 200; step++) {
      [load, bias] = run(
        (x, b) => {
          const grouped = groupTokens(topK(x, b, { k: 1 }), { experts: 4 });
          return [grouped.load, balanceBias(b, grouped.load, { rate: 0.02 })];
        },
        [skewed, givenFloats([4], bias)],
      );
      if (step === 0) first.push(...Array.from(load));
    }
    expect(first[0]).toBeGreaterThan(45);
    for (const rows of Array.from(load)) expect(Math.abs(rows - 16)).toBeLessThanOrEqual(4);
  });
});
