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

  it('turns the first features of a head only, where asked for', () => {
    const x = floats([1, 3, 2, 6]);
    const [y] = run((t, p) => rope(t, p, { theta: 100, dimensions: 4 }), [x, positions]);
    const heads = x.values.length / 6;
    const first = Array.from({ length: heads }, (_, h) =>
      Array.from(x.values).slice(6 * h, 6 * h + 4),
    ).flat();
    const [alone] = run((t, p) => rope(t, p, { theta: 100 }), [givenFloats([1, 3, 2, 4], first), positions]);
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < 4; i++) expect(y[6 * h + i]).toBe(alone[4 * h + i]);
      for (let i = 4; i < 6; i++) expect(y[6 * h + i]).toBe(x.values[6 * h + i]);
    }
  });

  it('brings positions closer when scaled linearly', () => {
    const x = floats([1, 3, 2, 4]);
    const scaling = { kind: 'linear', factor: 4 } as const;
    const [scaled] = run((t, p) => rope(t, p, { theta: 100, scaling }), [x, integers([1, 3], [0, 4, 20])]);
    const [plain] = run((t, p) => rope(t, p, { theta: 100 }), [x, positions]);
    scaled.forEach((value: number, i: number) => {
      expect(value).toBeCloseTo(plain[i], 13);
    });
  });

  it('scales as Llama 3: by wavelength', () => {
    const scaling = { kind: 'llama3', factor: 8, lowFactor: 1, highFactor: 4, originalLength: 8192 } as const;
    const [width, theta] = [128, 500_000];
    // At position 1 of (1, 0) pairs the outputs are the cosine and sine of the frequency.
    const ones = Array.from({ length: width }, (_, i) => (i < width / 2 ? 1 : 0));
    const [y] = run(
      (t, p) => rope(t, p, { theta, scaling }),
      [givenFloats([1, 1, 1, width], ones), integers([1, 1], [1])],
    );
    for (let pair = 0; pair < width / 2; pair++) {
      const frequency = theta ** ((-2 * pair) / width);
      const wavelength = (2 * Math.PI) / frequency;
      const smooth = (8192 / wavelength - 1) / (4 - 1);
      let expected = (1 - smooth) * (frequency / 8) + smooth * frequency;
      if (wavelength < 8192 / 4) expected = frequency;
      if (wavelength > 8192 / 1) expected = frequency / 8;
      expect(Math.atan2(y[pair + width / 2], y[pair])).toBeCloseTo(expected, 12);
    }
  });

  it('has gradients', () => {
    const scaling = { kind: 'llama3', factor: 8, lowFactor: 1, highFactor: 4, originalLength: 10 } as const;
    checkGradient(
      (x, p) => rope(x, p, { theta: 1e4, dimensions: 4, scaling }),
      [floats([1, 3, 2, 6]), positions],
    );
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
    expect(() => rope(even, p, { theta: 10, dimensions: 4 })).toThrow('dimensions is 4; allowed: 2 to 2');
    expect(() => rope(even, p, { theta: 10, scaling: { kind: 'linear', factor: 0 } })).toThrow('factor is 0');
    const scaling = { kind: 'llama3', factor: 2, lowFactor: 4, highFactor: 4, originalLength: 9 } as const;
    expect(() => rope(even, p, { theta: 10, scaling })).toThrow('must be below highFactor');
    expect(() => rope(even, even, { theta: 10 })).toThrow(
      "'positions' is float32[1, 3, 1, 2]; allowed: int32.",
    );
  });
});
