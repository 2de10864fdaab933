import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import type { Ranges } from './positions.ts';
import { mergePositions, positionCount, splitPositions } from './positions.ts';
import { checkGradient, floats, givenFloats, integers, run } from './testing.ts';

describe('splitPositions and mergePositions', () => {
  it('gathers the ranges of every row in the order given', () => {
    const x = integers([2, 4], [0, 1, 2, 3, 10, 11, 12, 13]);
    const ranges: Ranges[] = [
      [
        [3, 4],
        [0, 1],
      ],
      [[1, 3]],
    ];
    const [first, second, merged] = run(
      (t) => {
        const parts = splitPositions(t, ranges);
        return [...parts, mergePositions(parts, ranges, 4)];
      },
      [x],
    );
    expect([...first]).toEqual([3, 0, 13, 10]);
    expect([...second]).toEqual([1, 2, 11, 12]);
    expect([...merged]).toEqual([...Array.from(x.values)]);
  });

  it('leaves zeros where no part has a position', () => {
    const [x] = run((y) => mergePositions([y], [[[1, 2]]], 3), [givenFloats([1, 1, 2], [5, 6])]);
    expect([...x]).toEqual([0, 0, 5, 6, 0, 0]);
  });

  it('has gradients, also for positions and parts that nobody uses', () => {
    const ranges: Ranges[] = [
      [
        [0, 2],
        [5, 6],
      ],
      [[3, 5]],
    ];
    checkGradient((x) => splitPositions(x, ranges), [floats([2, 7, 3])]);
    checkGradient((x) => splitPositions(x, ranges)[1], [floats([2, 7, 3])]);
    checkGradient((a, b) => mergePositions([a, b], ranges, 7), [floats([2, 3, 1]), floats([2, 2, 1])]);
    checkGradient((x) => splitPositions(x, [[[0, 1]]]), [floats([1, 63, 2])]);
  });

  it('merging undoes splitting for any cut into ranges', () => {
    const partition = fc
      .tuple(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 4 }))
      .chain(([length, parts]) =>
        fc.record({
          cuts: fc.uniqueArray(fc.integer({ min: 1, max: length - 1 }), { maxLength: 8 }),
          owners: fc.array(fc.integer({ min: 0, max: parts - 1 }), { minLength: 9, maxLength: 9 }),
          length: fc.constant(length),
          parts: fc.constant(parts),
        }),
      );
    fc.assert(
      fc.property(partition, ({ cuts, owners, length, parts }) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), length];
        const owned = Array.from({ length: parts }, (): [number, number][] => []);
        for (let i = 0; i + 1 < edges.length; i++) owned[owners[i]].push([edges[i], edges[i + 1]]);
        const ranges: Ranges[] = owned.filter((part) => part.length > 0);
        expect(ranges.reduce((sum, part) => sum + positionCount(part), 0)).toBe(length);
        const x = floats([2, length, 3]);
        const [merged] = run((t) => mergePositions(splitPositions(t, ranges), ranges, length), [x]);
        expect([...merged]).toEqual([...Array.from(x.values)]);
      }),
      { numRuns: 50 },
    );
  });

  it('refuses overlaps, empty parts, positions outside the row and parts of the wrong length', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 4, 3]);
    expect(() => splitPositions(x, [[[0, 2]], [[1, 3]]])).toThrow('splitPositions: range [1, 3) overlaps');
    expect(() => splitPositions(x, [[[0, 2]], []])).toThrow('part 1 has no positions');
    expect(() => splitPositions(x, [[[2, 5]]])).toThrow('range [2, 5) is not a range of positions in [0, 4)');
    expect(() => splitPositions(x, [[[2, 2]]])).toThrow('range [2, 2) is not a range');
    expect(() => mergePositions([x], [[[0, 3]]], 8)).toThrow(
      "mergePositions: 'y0' must be float32[2, 3, 3].",
    );
    expect(() => mergePositions([x], [[[0, 4]], [[4, 5]]], 8)).toThrow('1 parts, but 2 range lists');
  });
});
