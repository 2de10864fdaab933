import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { matmul } from './matmul.ts';
import type { QuantizedBits } from './quantized.ts';
import { dequantizeWeight, QUANTIZED_GROUP, quantizedMatmul, quantizeWeight } from './quantized.ts';
import { floats, run, type TestInput } from './testing.ts';

const bitsOf = fc.constantFrom<QuantizedBits>(4, 8);
const shapeOf = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 6 }));

/** The weight after it went through few bits. */
function roundTrip(w: TestInput, bits: QuantizedBits): ArrayLike<number> {
  return run(
    (weight) => {
      const { packed, scales } = quantizeWeight(weight, { bits });
      return dequantizeWeight(packed, scales, { bits });
    },
    [w],
  )[0];
}

describe('weights of few bits', () => {
  it('are off by at most half a step, one at the end of the range of 4 bits', () => {
    fc.assert(
      fc.property(shapeOf, bitsOf, fc.nat(1000), ([n, groups], bits, seed) => {
        const w = floats([n, groups * QUANTIZED_GROUP], { seed });
        const found = roundTrip(w, bits);
        for (let i = 0; i < found.length; i++) {
          const start = i - (i % QUANTIZED_GROUP);
          const group = Array.from({ length: QUANTIZED_GROUP }, (_, j) => Math.abs(w.values[start + j]));
          // The scale itself is rounded to the 8 bits of bfloat16.
          const step = (Math.max(...group) / (bits === 8 ? 127 : 8)) * (1 + 2 ** -8);
          const allowed = bits === 8 ? step : step * 1.04;
          expect(Math.abs(found[i] - w.values[i])).toBeLessThanOrEqual(
            Math.abs(w.values[i]) < 0.85 * Math.max(...group) ? 0.5 * step + 1e-7 : allowed,
          );
        }
      }),
      { numRuns: 50 },
    );
  });

  it('stay what they are when they are rounded again', () => {
    fc.assert(
      fc.property(shapeOf, bitsOf, fc.nat(1000), ([n, groups], bits, seed) => {
        const shape = [n, groups * QUANTIZED_GROUP];
        const once = roundTrip(floats(shape, { seed }), bits);
        const twice = roundTrip({ shape, dtype: 'float32', values: once }, bits);
        expect(Array.from(twice)).toEqual(Array.from(once));
      }),
      { numRuns: 50 },
    );
  });

  it('keep zeros, and a group of zeros', () => {
    const values = Array.from({ length: 64 }, (_, i) => (i < 32 ? 0 : i % 2));
    for (const bits of [4, 8] as const) {
      const found = roundTrip({ shape: [1, 64], dtype: 'float32', values }, bits);
      values.forEach((value, i) => {
        expect(found[i]).toBeCloseTo(value, 2);
        if (value === 0) expect(Math.abs(found[i])).toBe(0);
      });
    }
  });

  it('multiply like the weights that they stand for', () => {
    fc.assert(
      fc.property(shapeOf, bitsOf, fc.integer({ min: 1, max: 3 }), ([n, groups], bits, m) => {
        const k = groups * QUANTIZED_GROUP;
        const [plain, quantized] = run(
          (a, w, bias, addend) => {
            const { packed, scales } = quantizeWeight(w, { bits });
            const weight = dequantizeWeight(packed, scales, { bits });
            return [
              matmul(a, weight, { transposeB: true, bias, addend }),
              quantizedMatmul(a, packed, scales, { bits, bias, addend }),
            ];
          },
          [
            floats([m, k]),
            floats([n, k], { seed: 2 }),
            floats([n], { seed: 3 }),
            floats([m, n], { seed: 4 }),
          ],
        );
        for (let i = 0; i < plain.length; i++) expect(quantized[i]).toBeCloseTo(plain[i], 12);
      }),
      { numRuns: 30 },
    );
  });

  it('take the bytes that they are for: 8.5 and 4.5 bits a weight', () => {
    const graph = new Graph();
    const w = graph.source('parameter', 'w', [16, 768]);
    for (const bits of [4, 8] as const) {
      const { packed, scales } = quantizeWeight(w, { bits });
      const bytes = 4 * packed.shape[0] * packed.shape[1] + 2 * scales.shape[0] * scales.shape[1];
      expect((8 * bytes) / (16 * 768)).toBe(bits + 0.5);
    }
  });

  it('refuse rows that are no whole groups, and operands that do not belong together', () => {
    const graph = new Graph();
    const w = (k: number) => graph.source('parameter', `w${k}`, [3, k]);
    expect(() => quantizeWeight(w(48), { bits: 4 })).toThrow('(48) must be a multiple of 32');
    const { packed, scales } = quantizeWeight(w(96), { bits: 4 });
    const a = (k: number) => graph.source('input', `a${k}`, [2, k]);
    expect(() => quantizedMatmul(a(64), packed, scales, { bits: 4 })).toThrow('that of the weight (96)');
    expect(() => quantizedMatmul(a(96), packed, scales, { bits: 8 })).toThrow("'packed' must have shape");
  });
});
