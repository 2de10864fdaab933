import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../models/index.ts';
import { dataConfigSchema, freezeTrain, trainConfigSchema } from '../train/index.ts';
import type { Amount, Design, Equal, Rates } from './design.ts';
import { checkDesign, ratesOf, stepsOf } from './design.ts';

const model = parseModelConfig({ pattern: 'mlp', width: 4, vocabulary: 257, mlp: { width: 8 } });

function design(equal: Equal, amount: Amount, changes: Partial<Design> = {}): Design {
  const train = trainConfigSchema.parse({ steps: 1, length: 8, batch: 1 });
  return {
    rows: ['a', 'b', 'c'].map((name) => ({ name, model })),
    equal,
    amount,
    seeds: [1, 2],
    rates: { kind: 'fixed' },
    data: dataConfigSchema.parse({}),
    train: freezeTrain(train, { threads: 2, bfloat16: false }),
    ...changes,
  };
}

const cost = fc.record({
  flops: fc.double({ min: 1e3, max: 1e6, noNaN: true }),
  seconds: fc.double({ min: 1e-3, max: 0.1, noNaN: true }),
});
const three = fc.tuple(cost, cost, cost);

describe('stepsOf', () => {
  it('gives every model the same, to half a step', () => {
    fc.assert(
      fc.property(three, fc.integer({ min: 2000, max: 100_000 }), (costs, first) => {
        expect(stepsOf(design('tokens', { steps: first }), costs)).toEqual([first, first, first]);
        for (const [equal, key] of [
          ['flops', 'flops'],
          ['seconds', 'seconds'],
        ] as const) {
          const steps = stepsOf(design(equal, { steps: first }), costs);
          const spent = steps.map((count, index) => count * costs[index][key]);
          for (const [index, one] of spent.entries()) {
            expect(Math.abs(one - first * costs[0][key])).toBeLessThanOrEqual(costs[index][key] / 2 + 1e-6);
          }
        }
      }),
    );
  });

  it('has the more steps for a budget the more runs train at a time', () => {
    const costs = [1, 2, 3].map((seconds) => ({ flops: 1, seconds }));
    const [alone] = stepsOf(design('tokens', { budget: 36_000 }), costs);
    const [together] = stepsOf(design('tokens', { budget: 36_000 }), costs, 2);
    // Twelve seconds of work for each step, and seven until the later of two places is free.
    expect(together / alone).toBeCloseTo(12 / 7, 3);
    const slow = costs.map((cost) => ({ ...cost, wall: 2 * cost.seconds }));
    expect(stepsOf(design('tokens', { budget: 36_000 }), slow, 2)[0] / alone).toBeCloseTo(6 / 7, 3);
  });

  it('stays within a budget, and uses it', () => {
    fc.assert(
      fc.property(three, fc.constantFrom<Equal>('tokens', 'flops', 'seconds'), (costs, equal) => {
        const budget = 36_000_000;
        const steps = stepsOf(design(equal, { budget }), costs);
        const seconds = 2 * steps.reduce((sum, count, index) => sum + count * costs[index].seconds, 0);
        expect(seconds).toBeLessThan(budget * 0.91);
        expect(seconds).toBeGreaterThan(budget * 0.89);
      }),
    );
  });

  it('keeps time for measuring, and refuses a budget that measuring would eat', () => {
    const costs = [1, 2, 3].map((seconds) => ({ flops: 1, seconds, measuring: 10 }));
    const [steps] = stepsOf(design('tokens', { budget: 1000 }), costs);
    // Two runs of each of three models are measured for 60 of 900 seconds; a step of all of them takes 12.
    expect(steps).toBe(70);
    expect(() => stepsOf(design('tokens', { budget: 100 }), costs)).toThrow(
      /Measuring 6 runs .* 1:00.* Give it 134s/,
    );
  });

  it('says when a model would not train at all', () => {
    const costs = [1, 1e9, 1].map((flops) => ({ flops }));
    expect(() => stepsOf(design('flops', { steps: 10 }), costs)).toThrow(/'b' would get no step/);
  });
});

describe('checkDesign', () => {
  const wrong: [string, Partial<Design>, RegExp][] = [
    ['no model', { rows: [] }, /at least one model/],
    ['a name twice', { rows: ['a', 'a'].map((name) => ({ name, model })) }, /Two models are called 'a'/],
    ['a seed twice', { seeds: [1, 1] }, /given 1, 1/],
    ['no seed', { seeds: [] }, /given none/],
    ['a grid of one', { rates: { kind: 'grid', rates: [0.1] } }, /two or more learning rates/],
  ];
  it.each(wrong)('refuses %s', (_, changes, message) => {
    expect(() => checkDesign(design('tokens', { steps: 1 }, changes))).toThrow(message);
  });
});

it("follows Kaplan's rule by parameters outside embedding and head", () => {
  const rates: Rates = { kind: 'kaplan' };
  const one = design('tokens', { steps: 1 }, { rates });
  // 3 matrices of 4 × 8 and the norm's 4, and the final norm's 4.
  expect(ratesOf(one, one.rows[0])[0]).toBeCloseTo(0.003239 - 0.0001395 * Math.log(104), 12);
});
