import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { roundToBfloat16 } from '../ops/index.ts';
import { floatToBfloat16, floatToHalf, halfToFloat } from './half.ts';

describe('half precision', () => {
  it('comes back from its value for all 65536 patterns', () => {
    const changed = Array.from({ length: 65536 }, (_, bits) => bits).filter((bits) => {
      const value = halfToFloat(bits);
      const again = floatToHalf(value);
      return Number.isNaN(value) ? !Number.isNaN(halfToFloat(again)) : again !== bits;
    });
    expect(changed).toEqual([]);
  });

  it('takes the nearest number, and the even one of two', () => {
    const float32 = fc.float({ noNaN: true, noDefaultInfinity: true, min: -65519, max: 65519 });
    fc.assert(
      fc.property(float32, (value) => {
        const bits = floatToHalf(value);
        const error = Math.abs(halfToFloat(bits) - value);
        for (const neighbour of [bits - 1, bits + 1]) {
          const other = halfToFloat(neighbour & 0xffff);
          if (!Number.isFinite(other)) continue;
          const away = Math.abs(other - value);
          expect(error <= away).toBe(true);
          if (error === away && error !== 0) expect(bits % 2).toBe(0);
        }
      }),
    );
    expect(halfToFloat(floatToHalf(65520))).toBe(Number.POSITIVE_INFINITY);
    expect(halfToFloat(floatToHalf(-1e30))).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe('bfloat16', () => {
  it('rounds as the executors do', () => {
    const widen = (bits: number): number => new Float32Array(Uint32Array.of(bits << 16).buffer)[0];
    fc.assert(
      fc.property(fc.float(), (value) => {
        expect(widen(floatToBfloat16(value))).toEqual(roundToBfloat16(value));
      }),
    );
    expect(widen(floatToBfloat16(Number.NaN))).toBeNaN();
  });
});
