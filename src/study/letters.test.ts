import fc from 'fast-check';
import { expect, it } from 'vitest';
import { letters } from './letters.ts';

it('gives one letter to rows that are all alike, and one each to rows that all differ', () => {
  expect(letters(3, () => false)).toEqual(['a', 'a', 'a']);
  expect(letters(3, () => true)).toEqual(['a', 'b', 'c']);
});

it('chains neighbours', () => {
  expect(letters(3, (a, b) => Math.abs(a - b) > 1)).toEqual(['a', 'ab', 'b']);
});

it('shares a letter exactly where rows cannot be told apart', () => {
  fc.assert(
    fc.property(
      fc
        .integer({ min: 1, max: 7 })
        .chain((count) =>
          fc.tuple(fc.constant(count), fc.array(fc.boolean(), { minLength: 49, maxLength: 49 })),
        ),
      ([count, flags]) => {
        const differ = (a: number, b: number) => flags[Math.min(a, b) * 7 + Math.max(a, b)];
        const given = letters(count, differ);
        for (let a = 0; a < count; a++) {
          expect(given[a].length).toBeGreaterThan(0);
          for (let b = a + 1; b < count; b++) {
            expect([...given[a]].some((letter) => given[b].includes(letter))).toBe(!differ(a, b));
          }
        }
      },
    ),
  );
});
