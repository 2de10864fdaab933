import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inOrder, makespan } from './schedule.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('inOrder', () => {
  it('begins tasks in their order, never more than there are places, and keeps the order of the results', async () => {
    const turns = [3, 1, 2, 5, 1, 1];
    const begun: number[] = [];
    let atWork = 0;
    let most = 0;
    const tasks = turns.map((count, index) => async () => {
      begun.push(index);
      atWork++;
      most = Math.max(most, atWork);
      for (let at = 0; at < count; at++) await turn();
      atWork--;
      return index;
    });
    expect(await inOrder(tasks, 2, () => {})).toEqual([0, 1, 2, 3, 4, 5]);
    expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
    expect(most).toBe(2);
  });

  it('after a failure begins nothing more, stops the others, waits for them, and throws the first', async () => {
    const stop = new AbortController();
    const ended: string[] = [];
    const others = async (): Promise<void> => {
      while (!stop.signal.aborted) await turn();
      ended.push('stopped');
      throw new Error('stopped');
    };
    const failing = async (): Promise<void> => {
      await turn();
      throw new Error('first');
    };
    const never = async (): Promise<void> => void ended.push('begun');
    await expect(inOrder([others, failing, never], 2, () => stop.abort())).rejects.toThrow('first');
    expect(ended).toEqual(['stopped']);
  });
});

describe('makespan', () => {
  it('lies between the work over the places and that and the longest task', () => {
    const durations = fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(durations, fc.integer({ min: 1, max: 8 }), (all, places) => {
        const total = all.reduce((sum, one) => sum + one, 0);
        const span = makespan(all, places);
        expect(span).toBeGreaterThanOrEqual(Math.max(total / places, ...all) - 1e-9);
        expect(span).toBeLessThanOrEqual(total / places + Math.max(...all) + 1e-9);
        if (places === 1) expect(span).toBeCloseTo(total, 9);
      }),
    );
  });
});
