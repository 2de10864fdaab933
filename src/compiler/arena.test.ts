import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Block } from './arena.ts';
import { ALIGNMENT, aligned, lifetimeOf, mayOverlap, peakLiveBytes, planArena } from './arena.ts';
import type { Place } from './schedule.ts';
import { isBefore } from './schedule.ts';

/** Steps 0 … 7; every second one has three lanes of four calls. */
const place: fc.Arbitrary<Place> = fc
  .record({ step: fc.nat(7), lane: fc.nat(2), index: fc.nat(3) })
  .map(({ step, lane, index }) => (step % 2 ? { step, lane, index } : { step, lane: 0, index: 0 }));

/** Touches that a program can have: the first is before all others or at the same call. */
const touches = fc.array(place, { minLength: 1, maxLength: 5 }).map((all) => {
  const [first, ...others] = all.toSorted((a, b) => a.step - b.step || a.lane - b.lane || a.index - b.index);
  return [first, ...others.filter((other) => isBefore(first, other))];
});

const touchedBlocks = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 2000 }), touches }), {
  maxLength: 40,
});

function toBlocks(given: readonly { bytes: number; touches: readonly Place[] }[]): Block[] {
  return given.map((one) => ({ bytes: one.bytes, ...lifetimeOf(one.touches) }));
}

describe('mayOverlap', () => {
  it('is false only when every touch of one is before the first of the other', () => {
    fc.assert(
      fc.property(touches, touches, (a, b) => {
        const allBefore = (x: readonly Place[], y: readonly Place[]): boolean =>
          x.every((t) => isBefore(t, y[0]));
        expect(mayOverlap(lifetimeOf(a), lifetimeOf(b))).toBe(!allBefore(a, b) && !allBefore(b, a));
      }),
      { numRuns: 500 },
    );
  });
});

describe('planArena', () => {
  it('never gives two blocks a common byte when they may be alive together', () => {
    fc.assert(
      fc.property(touchedBlocks, (given) => {
        const blocks = toBlocks(given);
        const { offsets, bytes } = planArena(blocks);
        offsets.forEach((offset, i) => {
          expect(offset % ALIGNMENT).toBe(0);
          expect(offset + blocks[i].bytes).toBeLessThanOrEqual(bytes);
          for (let j = 0; j < i; j++) {
            if (!mayOverlap(blocks[i], blocks[j])) continue;
            const apart = offset + blocks[i].bytes <= offsets[j] || offsets[j] + blocks[j].bytes <= offset;
            expect(apart, `blocks ${i} and ${j}`).toBe(true);
          }
        });
      }),
      { numRuns: 200 },
    );
  });

  it('needs no more than the peak when lives are nested', () => {
    const blocks = Array.from({ length: 20 }, (_, i) => ({
      bytes: 64 * (i + 1),
      ...lifetimeOf([
        { step: i, lane: 0, index: 0 },
        { step: 40 - i, lane: 0, index: 0 },
      ]),
    }));
    expect(planArena(blocks).bytes).toBe(peakLiveBytes(blocks));
  });

  it('plans nothing for nothing', () => {
    expect(planArena([])).toEqual({ offsets: [], bytes: 0 });
  });
});

describe('peakLiveBytes', () => {
  it('is the largest sum over all combinations of moments', () => {
    fc.assert(
      fc.property(touchedBlocks, (given) => {
        const blocks = toBlocks(given);
        let largest = 0;
        for (let step = 0; step <= 7; step++) {
          const moments = step % 2 ? [0, 1, 2, 3] : [0];
          const lanes = step % 2 ? 3 : 1;
          // One moment per lane; a block is alive when in some lane it has begun and not ended.
          for (let cut = 0; cut < moments.length ** lanes; cut++) {
            const at = Array.from({ length: lanes }, (_, lane) => ({
              step,
              lane,
              index: Math.floor(cut / moments.length ** lane) % moments.length,
            }));
            let sum = 0;
            for (const { bytes, start, endStep, endLane, endIndex } of blocks) {
              const begun = start.step < step || (start.step === step && at[start.lane].index >= start.index);
              const open =
                endStep > step || (endStep === step && (endLane < 0 || at[endLane].index <= endIndex));
              if (begun && open) sum += bytes;
            }
            largest = Math.max(largest, sum);
          }
        }
        expect(peakLiveBytes(blocks)).toBe(largest);
      }),
      { numRuns: 100 },
    );
  });

  it('bounds the plan from below', () => {
    fc.assert(
      fc.property(touchedBlocks, (given) => {
        const blocks = toBlocks(given);
        expect(planArena(blocks).bytes).toBeGreaterThanOrEqual(aligned(peakLiveBytes(blocks)) - ALIGNMENT);
      }),
    );
  });
});
