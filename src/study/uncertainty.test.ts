import { describe, expect, it } from 'vitest';
import { randomStream } from '../nn/index.ts';
import { holm, uncertainty } from './uncertainty.ts';

const random = randomStream(7, 'uncertainty test');
let used = 0;
const normal = (): number => random.normal(used++);

/** Losses of models with true bits per byte, on documents that are harder or easier for all, with noise of seeds. */
function simulate(truth: readonly number[], seeds: number, documents: number, seedNoise: number) {
  const bytes = Array.from({ length: documents }, () => 1000 + Math.floor(4000 * random.uniform(used++)));
  const hardness = bytes.map(() => 0.3 * normal());
  const models = truth.map((level) =>
    Array.from({ length: seeds }, () => {
      const chance = seedNoise * normal();
      return bytes.map((size, d) => size * Math.LN2 * (level + hardness[d] + chance + 0.02 * normal()));
    }),
  );
  return { models, bytes };
}

describe('uncertainty', () => {
  it('is the plain ratio in the middle, and tells apart on shared documents what differs by far less than they do', () => {
    const bytes = [100, 300];
    const nats = [100 * Math.LN2, 600 * Math.LN2];
    const [estimate] = uncertainty([[nats]], bytes).estimates;
    expect(estimate.value).toBeCloseTo(700 / 400, 12);

    const simulated = simulate([2, 2.02, 2.5], 3, 40, 0.001);
    const { differences } = uncertainty(simulated.models, simulated.bytes);
    expect(differences.map(({ first, second }) => [first, second])).toEqual([
      [0, 1],
      [0, 2],
      [1, 2],
    ]);
    for (const { adjusted } of differences) expect(adjusted).toBeLessThan(0.01);
  });

  it('finds no difference more often than it says, with few seeds and many pairs', () => {
    let found = 0;
    const studies = 60;
    for (let study = 0; study < studies; study++) {
      const { models, bytes } = simulate([2, 2, 2, 2], 3, 30, 0.05);
      if (uncertainty(models, bytes, study).differences.some(({ adjusted }) => adjusted < 0.05)) found++;
    }
    // 5 % of 60 is 3; more than 8 happens by chance once in a hundred times.
    expect(found).toBeLessThanOrEqual(8);
  });

  it('covers the truth of a difference with its interval', () => {
    let covered = 0;
    const studies = 60;
    for (let study = 0; study < studies; study++) {
      const { models, bytes } = simulate([2, 2.03], 3, 30, 0.03);
      const [{ low, high }] = uncertainty(models, bytes, study).differences;
      if (low <= -0.03 && -0.03 <= high) covered++;
    }
    expect(covered).toBeGreaterThanOrEqual(52);
  });

  it('repeats itself bit for bit', () => {
    const { models, bytes } = simulate([2, 2.1], 2, 10, 0.01);
    expect(uncertainty(models, bytes)).toEqual(uncertainty(models, bytes));
  });

  it('says that models which are alike are alike', () => {
    const { models, bytes } = simulate([2], 2, 10, 0.01);
    const [difference] = uncertainty([models[0], models[0]], bytes).differences;
    expect(difference).toMatchObject({ value: 0, low: 0, high: 0, p: 1, adjusted: 1 });
  });

  it('refuses one document, and models that were measured on different ones', () => {
    expect(() => uncertainty([[[1]]], [10])).toThrow(/1 document/);
    expect(() => uncertainty([[[1, 2]], [[1, 2, 3]]], [10, 10])).toThrow(/same seeds and documents/);
  });
});

describe('holm', () => {
  it('multiplies by what is left, never falling', () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
    expect(holm([0.9, 0.8])).toEqual([1, 1]);
  });
});
