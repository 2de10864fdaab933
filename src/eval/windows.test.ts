import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { slidingWindows } from './windows.ts';

describe('sliding windows', () => {
  it('lie as the picture says', () => {
    expect(slidingWindows(10, 4, 2)).toEqual([
      { begin: 0, end: 4, from: 1 },
      { begin: 2, end: 6, from: 5 },
      { begin: 4, end: 8, from: 7 },
      { begin: 5, end: 9, from: 9 },
    ]);
  });

  it('predict every token once, none from too little', () => {
    const sizes = fc.record({
      count: fc.integer({ min: 0, max: 200 }),
      window: fc.integer({ min: 1, max: 40 }),
      part: fc.integer({ min: 1, max: 40 }),
    });
    fc.assert(
      fc.property(sizes, ({ count, window, part }) => {
        const stride = Math.min(part, window);
        const predicted: number[] = [];
        for (const { begin, end, from } of slidingWindows(count, window, stride)) {
          expect(end - begin).toBeLessThanOrEqual(window);
          expect(begin).toBeGreaterThanOrEqual(0);
          // What is predicted first has the least before it.
          expect(from - begin).toBeGreaterThanOrEqual(Math.min(from, window - stride + 1));
          for (let token = from; token <= end; token++) predicted.push(token);
        }
        expect(predicted).toEqual(Array.from({ length: Math.max(0, count - 1) }, (_, index) => index + 1));
      }),
    );
  });

  it.each([
    [4, 5],
    [4, 0],
    [4, 1.5],
  ])('refuse a window of %d that moves by %d', (window, stride) => {
    expect(() => slidingWindows(10, window, stride)).toThrow(/--stride/);
  });
});
