import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layersFor, layout, spreadLayers } from './recipe.ts';

describe('layersFor', () => {
  it.each([
    [13, [1, 0], 13],
    [13, [1, 1], 7],
    [13, [1, 3], 3],
    [13, [1, 5], 2],
    [13, [1, 12], 1],
    [13, [0, 1], 0],
  ] as const)('%d layers at %o: %d', (depth, ratio, expected) => {
    expect(layersFor(depth, ratio)).toBe(expected);
  });

  it('refuses what is no ratio', () => {
    expect(() => layersFor(4, [0, 0])).toThrow(/not both 0/);
    expect(() => layersFor(4, [-1, 2])).toThrow(/-1 : 2/);
  });
});

describe('spreadLayers', () => {
  it.each([
    [13, 1, [7]],
    [13, 2, [5, 9]],
    [13, 3, [4, 7, 11]],
    [4, 1, [3]],
    [14, 7, [2, 4, 6, 8, 10, 12, 14]],
    [13, 7, [2, 4, 6, 8, 10, 12, 13]],
    [16, 4, [3, 7, 10, 14]],
    [5, 4, [2, 3, 4, 5]],
  ])('gives the published places of %d and %d', (depth, count, places) => {
    expect(spreadLayers(depth, count).map((place) => place + 1)).toEqual(places);
  });

  it('never begins with an expensive layer, and spreads evenly', () => {
    const sizes = fc
      .integer({ min: 2, max: 80 })
      .chain((depth) => fc.integer({ min: 1, max: depth - 1 }).map((count) => [depth, count] as const));
    fc.assert(
      fc.property(sizes, ([depth, count]) => {
        const places = spreadLayers(depth, count);
        expect(places).toHaveLength(count);
        expect(places[0]).toBeGreaterThan(0);
        expect(places[count - 1]).toBeLessThan(depth);
        const gaps = places.slice(1).map((place, index) => place - places[index]);
        for (const gap of gaps) expect(gap).toBeGreaterThan(0);
        if (gaps.length > 0) expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(1);
        // The end is free too where most layers are cheap.
        if (count * 2 < depth) expect(places[count - 1]).toBeLessThan(depth - 1);
      }),
    );
  });

  it('refuses more layers than the depth, and what is no number of layers', () => {
    expect(spreadLayers(3, 3)).toEqual([0, 1, 2]);
    expect(() => spreadLayers(3, 4)).toThrow(/4 layers do not fit into a depth of 3/);
    expect(() => spreadLayers(2.5, 1)).toThrow(/depth of a layout .* 2\.5/);
  });
});

describe('layout', () => {
  it('gives one entry per layer', () => {
    const kinds = { expensive: 'attention+mlp', cheap: 'mamba2+mlp' };
    expect(layout(4, [1, 3], kinds)).toEqual(['mamba2+mlp', 'mamba2+mlp', 'attention+mlp', 'mamba2+mlp']);
  });
});
