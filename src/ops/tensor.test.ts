import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { roundToBfloat16 } from './plain.ts';
import { cast, concat, fill, reshape, split } from './tensor.ts';
import { checkGradient, floats, givenFloats, integers, run } from './testing.ts';

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

describe('reshape', () => {
  it('keeps values and order', () => {
    const [y] = run((x) => reshape(x, [3, 2]), [givenFloats([2, 3], numbers(6))]);
    expect([...y]).toEqual(numbers(6));
    checkGradient((x) => reshape(x, [6]), [floats([2, 3])]);
  });

  it('refuses another number of elements and names operation, path and shapes', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 3]);
    expect(() => graph.scope('blocks', () => graph.scope('0', () => reshape(x, [4])))).toThrow(
      'reshape in blocks.0: shape [4] has 4 elements, x has 6. Given: float32[2, 3].',
    );
  });
});

describe('cast', () => {
  // Ties go to the even neighbour: 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷, 1 + 3·2⁻⁸ between 1 + 2⁻⁷ and 1 + 2⁻⁶.
  it('rounds to nearest even bfloat16', () => {
    const values = [1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, -1 - 2 ** -8, 0, 3.4e38];
    const [y] = run((x) => cast(x, 'bfloat16'), [givenFloats([7], values)], { precision: 'float32' });
    const infinity = Number.POSITIVE_INFINITY;
    expect([...y]).toEqual([1, 1, 1 + 2 ** -6, 1 + 2 ** -7, -1, 0, infinity]);
  });

  it('keeps NaN and infinities', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(roundToBfloat16(value)).toBe(value);
    }
  });

  it('does not round in float64, where gradients are checked', () => {
    const [y] = run((x) => cast(x, 'bfloat16'), [givenFloats([1], [1.2345678])]);
    expect(y[0]).toBe(1.2345678);
    checkGradient((x) => cast(cast(x, 'bfloat16'), 'float32'), [floats([3])]);
  });

  it('copies a tensor of the same dtype, integers too, and refuses the rest', () => {
    const [y] = run((x) => cast(x, 'int32'), [integers([2], [3, -1])]);
    expect([...y]).toEqual([3, -1]);
    const graph = new Graph();
    const x = graph.source('input', 'x', [2], 'int32');
    expect(() => cast(x, 'float32')).toThrow('cast: a cast from int32 to float32');
  });
});

describe('fill', () => {
  it('is one value everywhere, rounded to its dtype, without gradient', () => {
    const [y, z] = run((x) => [fill(x, [2, 2], 1.001), fill(x, [1], 1.001, 'bfloat16')], [floats([1])], {
      precision: 'float32',
    });
    expect([...y]).toEqual(new Array(4).fill(Math.fround(1.001)));
    expect(z[0]).toBe(1);
    checkGradient((x) => fill(x, [3], 2), [floats([2])]);
  });

  it('refuses what JSON cannot carry', () => {
    const x = new Graph().source('input', 'x', [1]);
    expect(() => fill(x, [1], Number.NaN)).toThrow('attribute value is NaN');
  });
});

describe('split and concat', () => {
  it('cuts the last axis and joins it again', () => {
    const x = givenFloats([2, 4], numbers(8));
    const [a, b, whole] = run(
      (t) => {
        const parts = split(t, [1, 3]);
        return [...parts, concat(parts)];
      },
      [x],
    );
    expect([...a]).toEqual([1, 5]);
    expect([...b]).toEqual([2, 3, 4, 6, 7, 8]);
    expect([...whole]).toEqual(numbers(8));
  });

  it('has gradients, also where a part is not used', () => {
    checkGradient((x) => split(x, [1, 63]), [floats([3, 64])]);
    checkGradient((x) => split(x, [1, 2, 3])[1], [floats([2, 6])]);
    checkGradient((a, b) => concat([a, b, a]), [floats([3, 1]), floats([3, 2])]);
  });

  it('refuses sizes that do not add up and leading axes that differ', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 4]);
    const y = graph.source('input', 'y', [3, 4]);
    const low = graph.source('input', 'low', [2, 4], 'bfloat16');
    expect(() => split(x, [1, 2])).toThrow('split: sizes [1, 2] add to 3, the last axis has 4.');
    expect(() => split(x, [4, 0])).toThrow('attribute sizes is 0');
    expect(() => concat([x, y])).toThrow("concat: 'x1' is float32[3, 4]; all axes but the last");
    expect(() => concat([x, low])).toThrow("'x1' is bfloat16[2, 4]; allowed: float32.");
  });
});
