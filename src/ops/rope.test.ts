import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { rope } from './rope.ts';
import { checkGradient, floats, givenFloats, integers, run } from './testing.ts';

const positions = integers([1, 3], [0, 1, 5]);

describe('rope', () => {
  it('rotates the pairs (i, i + D/2)', () => {
    const x = givenFloats([1, 1, 1, 4], [1, 2, 3, 4]);
    const [y] = run((t, p) => rope(t, p, { theta: 100 }), [x, integers([1, 1], [3])]);
    const [a, b] = [3, 3 / 10];
    const expected = [
      Math.cos(a) - 3 * Math.sin(a),
      2 * Math.cos(b) - 4 * Math.sin(b),
      3 * Math.cos(a) + Math.sin(a),
      4 * Math.cos(b) + 2 * Math.sin(b),
    ];
    expected.forEach((value, i) => {
      expect(y[i]).toBeCloseTo(value, 13);
    });
  });

  it('is undone by its inverse', () => {
    const x = floats([1, 3, 2, 6]);
    const [y] = run(
      (t, p) => rope(rope(t, p, { theta: 1e4 }), p, { theta: 1e4, inverse: true }),
      [x, positions],
    );
    y.forEach((value: number, i: number) => {
      expect(value).toBeCloseTo(x.values[i], 14);
    });
  });

  it('counts positions from the start of the document', () => {
    const x = floats([1, 3, 1, 2]);
    const [packed] = run(
      (t, p, d) => rope(t, p, { theta: 10, documents: d }),
      [x, integers([1, 3], [7, 8, 9]), integers([1, 3], [7, 8, 8])],
    );
    const [alone] = run((t, p) => rope(t, p, { theta: 10 }), [x, integers([1, 3], [0, 0, 1])]);
    expect(packed).toEqual(alone);
  });

  it('has gradients', () => {
    checkGradient((x, p) => rope(x, p, { theta: 1e4 }), [floats([1, 3, 2, 2]), positions]);
    checkGradient(
      (x, p, d) => rope(x, p, { theta: 1e4, documents: d, inverse: true }),
      [floats([1, 3, 1, 6]), positions, integers([1, 3], [0, 0, 5])],
    );
  });

  it('refuses an odd width and positions of another shape', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [1, 3, 1, 3]);
    const even = graph.source('input', 'even', [1, 3, 1, 2]);
    const p = graph.source('input', 'p', [1, 3], 'int32');
    const q = graph.source('input', 'q', [1, 2], 'int32');
    expect(() => rope(x, p, { theta: 10 })).toThrow('rope: pairs need an even last axis');
    expect(() => rope(even, q, { theta: 10 })).toThrow("'positions' must have shape [1, 3]");
    expect(() => rope(even, p, { theta: 0 })).toThrow('attribute theta is 0');
    expect(() => rope(even, even, { theta: 10 })).toThrow(
      "'positions' is float32[1, 3, 1, 2]; allowed: int32.",
    );
  });
});
