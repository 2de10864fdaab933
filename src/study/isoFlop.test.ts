import { expect, it } from 'vitest';
import { isoFlop, minimum } from './isoFlop.ts';
import type { RowResult } from './results.ts';

it('finds the lowest point of a parabola, and none where it opens downwards or lies outside', () => {
  const x = [10, 11, 12, 13];
  const parabola = (middle: number, a: number) => x.map((value) => 2 + a * (value - middle) ** 2);
  expect(minimum(x, parabola(11.3, 0.5))?.at).toBeCloseTo(11.3, 9);
  expect(minimum(x, parabola(11.3, 0.5))?.value).toBeCloseTo(2, 9);
  expect(minimum(x, parabola(11.3, -0.5))).toBeUndefined();
  expect(minimum(x, parabola(17, 0.5))).toBeUndefined();
  expect(minimum([1, 2], [1, 2])).toBeUndefined();
});

it('gives each family its best size with an interval that holds it', () => {
  const rows = [10, 11, 12, 13].map((size) => {
    const value = 2 + 0.1 * (size - 11.6) ** 2;
    return {
      group: 'a',
      flopsSeen: 100,
      parameters: { total: 0, nonEmbedding: Math.exp(size) },
      bitsPerByte: { value, low: value - 0.02, high: value + 0.02 },
    } as RowResult;
  });
  const [{ best }] = isoFlop({ rows });
  expect(Math.log(best?.parameters ?? 0)).toBeCloseTo(11.6, 6);
  expect(best?.low).toBeLessThan(best?.parameters ?? 0);
  expect(best?.high).toBeGreaterThan(best?.parameters ?? 0);
});
