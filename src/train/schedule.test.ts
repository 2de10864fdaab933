import { describe, expect, it } from 'vitest';
import { learningRate } from './schedule.ts';

const schedule = { peak: 2, steps: 100, warmup: 10, floor: 0.1 };

describe('the learning rate', () => {
  it('rises in a line, peaks where warm-up ends and falls to the floor', () => {
    expect(learningRate(schedule, 1)).toBeCloseTo(0.2, 12);
    expect(learningRate(schedule, 5)).toBeCloseTo(1, 12);
    expect(learningRate(schedule, 10)).toBeCloseTo(2, 12);
    expect(learningRate(schedule, 55)).toBeCloseTo(2 * (0.1 + 0.9 * 0.5), 12);
    expect(learningRate(schedule, 100)).toBeCloseTo(0.2, 12);
  });

  it('never rises after warm-up', () => {
    for (let step = 11; step <= 100; step++) {
      expect(learningRate(schedule, step)).toBeLessThan(learningRate(schedule, step - 1));
    }
  });

  it('works without warm-up and for runs of one step', () => {
    expect(learningRate({ ...schedule, warmup: 0 }, 1)).toBeLessThan(2);
    expect(learningRate({ peak: 2, steps: 1, warmup: 1, floor: 0.1 }, 1)).toBe(2);
    expect(learningRate({ peak: 2, steps: 1, warmup: 0, floor: 0.1 }, 1)).toBeCloseTo(0.2, 12);
  });
});
