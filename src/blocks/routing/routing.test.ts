import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearestPattern } from './chunks.ts';
import type { Routing } from './index.ts';
import { findStrategy, routingSchema, routingStrategies } from './index.ts';

const base = (strategy: string, options: Partial<Routing> = {}): Routing => ({
  strategy,
  balance: 'flops',
  ...options,
});

/** The branch of every position, by number. */
function branches(routing: Routing, layer: number, length: number, start = 0, ratio = 0.5): number[] {
  const parts = findStrategy(routing.strategy).route({ routing, layer, length, start, ratio });
  const branch = new Array<number>(length).fill(-1);
  parts.forEach((ranges, index) => {
    for (const [from, to] of ranges) branch.fill(index, from, to);
  });
  return branch;
}

/** The same as letters: A the first branch (attention), S the second. */
function letters(routing: Routing, layer: number, length: number, start = 0, ratio = 0.5): string {
  return branches(routing, layer, length, start, ratio)
    .map((branch) => 'AS'[branch] ?? '?')
    .join('');
}

/** Whether position t depends on s ≤ t after `layers` routed blocks, for all pairs: [t][s]. */
function reach(routing: Routing, layers: number, length: number, ratio = 0.5): boolean[][] {
  let seen = Array.from({ length }, (_, t) => Array.from({ length }, (_, s) => s === t));
  for (let layer = 0; layer < layers; layer++) {
    const branch = branches(routing, layer, length, 0, ratio);
    const before = seen;
    seen = before.map((_, t) => {
      const row = new Array<boolean>(length).fill(false);
      for (let u = 0; u <= t; u++) {
        if (branch[u] === branch[t])
          before[u].forEach((yes, s) => {
            if (yes) row[s] = true;
          });
      }
      return row;
    });
  }
  return seen;
}

/** Share of causal pairs that are connected, and share of the prefix that the last position sees. */
function connectivity(routing: Routing, layers: number, length: number, ratio = 0.5): [number, number] {
  const seen = reach(routing, layers, length, ratio);
  const count = seen.reduce((sum, row) => sum + row.filter(Boolean).length, 0);
  const last = seen[length - 1].filter(Boolean).length;
  return [count / ((length * (length + 1)) / 2), last / length];
}

describe('every strategy', () => {
  const request = fc.record({
    strategy: fc.constantFrom(...routingStrategies.map((strategy) => strategy.name)),
    layer: fc.nat(40),
    length: fc.integer({ min: 1, max: 400 }),
    start: fc.nat(1000),
    ratio: fc.double({ min: 0.001, max: 0.999, noNaN: true }),
    chunk: fc.integer({ min: 1, max: 70 }),
  });

  it('gives sorted, disjoint ranges that cover the piece', () => {
    fc.assert(
      fc.property(request, ({ strategy, layer, length, start, ratio, chunk }) => {
        const routing = base(strategy, strategy === 'chunks' ? { chunk } : {});
        const parts = findStrategy(strategy).route({ routing, layer, length, start, ratio });
        expect(parts).toHaveLength(2);
        for (const ranges of parts) {
          ranges.forEach(([from, to], index) => {
            expect(from).toBeLessThan(to);
            // Neighbouring ranges are joined: a gap separates any two.
            if (index > 0) expect(from).toBeGreaterThan(ranges[index - 1][1]);
          });
        }
        const all = parts.flat().sort(([a], [b]) => a - b);
        expect(all[0]?.[0]).toBe(0);
        expect(all[all.length - 1]?.[1]).toBe(length);
        all.forEach(([from], index) => {
          if (index > 0) expect(from).toBe(all[index - 1][1]);
        });
      }),
    );
  });

  it('gives either branch a token when the ratio is solved and there are two', () => {
    fc.assert(
      fc.property(request, ({ layer, length, ratio }) => {
        fc.pre(length >= 2);
        for (const strategy of routingStrategies.filter(({ ratio: kind }) => kind === 'solved')) {
          expect(new Set(branches(base(strategy.name), layer, length, 0, ratio)).size).toBe(2);
        }
      }),
    );
  });
});

describe("FlowHN's strategies", () => {
  it('draw the figure at six tokens', () => {
    expect([0, 1, 2].map((layer) => letters(base('ae'), layer, 6))).toEqual(['SSSAAA', 'AAASSS', 'SSSAAA']);
    expect([0, 1, 2].map((layer) => letters(base('fa'), layer, 6, 0, 1 / 3))).toEqual([
      'SSSSAA',
      'SSSSAA',
      'SSSSAA',
    ]);
    expect([0, 1, 2, 3].map((layer) => letters(base('fac'), layer, 6, 0, 1 / 3))).toEqual([
      'SSSSAA',
      'SSAASS',
      'AASSSS',
      'SSSSAA',
    ]);
  });

  it('wrap round the row when the window does not divide it', () => {
    expect(letters(base('fac'), 1, 7, 0, 3 / 7)).toBe('SAAASSS');
    expect(letters(base('fac'), 2, 7, 0, 3 / 7)).toBe('ASSSSAA');
    expect(letters(base('fac'), 0, 5, 0, 0.99)).toBe('SAAAA');
    expect(letters(base('fac'), 1, 5, 0, 0.99)).toBe('ASAAA');
  });

  it('reproduce the released code', () => {
    expect(letters(base('fa-code'), 0, 10)).toBe('AAAAASSSSS');
    expect(letters(base('fa-code'), 1, 10)).toBe('AAAAASSSSS');
    expect(branches(base('fa-code'), 0, 1024).filter((branch) => branch === 0)).toHaveLength(604);
    // Python's int(0.59 * 100) is 59; a sum of halves would give the same, a rounded product 0.59·L not always.
    expect(branches(base('fa-code'), 0, 100).filter((branch) => branch === 0)).toHaveLength(59);
    expect([0, 1].map((layer) => letters(base('fac-code'), layer, 7))).toEqual(['SSSSAAA', 'AAASSSS']);
    expect([0, 1].map((layer) => letters(base('ae'), layer, 7))).toEqual(['SSSAAAA', 'AAASSSS']);
  });

  it('are one and the same as `ae` and `fac-code` at even lengths, and differ at odd ones', () => {
    for (const length of [2, 24, 120, 1024]) {
      for (const layer of [0, 1, 2, 3]) {
        expect(letters(base('fac-code'), layer, length)).toBe(letters(base('ae'), layer, length));
      }
    }
    expect(letters(base('fac-code'), 0, 7)).not.toBe(letters(base('ae'), 0, 7));
  });

  it.each(['ae', 'fac-code', 'fa-code'])('%s lets nothing cross its split at length 120', (strategy) => {
    const seen = reach(base(strategy), 9, 120);
    const split = strategy === 'fa-code' ? 70 : 60;
    for (let t = split; t < 120; t++) expect(seen[t].slice(0, split).some(Boolean)).toBe(false);
  });

  it.each(['ae', 'fa-code'])('%s lets nothing cross its split at odd lengths', (strategy) => {
    const seen = reach(base(strategy), 6, 31);
    const split = strategy === 'fa-code' ? 18 : 15;
    for (let t = split; t < 31; t++) expect(seen[t].slice(0, split).some(Boolean)).toBe(false);
  });

  it('fac-code has a bridge of one token at odd lengths', () => {
    const seen = reach(base('fac-code'), 4, 31);
    expect(seen[30].slice(0, 15).some(Boolean)).toBe(true);
  });
});

describe('connectivity at length 120', () => {
  // Shares of causal pairs and of the prefix seen by the last token, found by differentiating the authors' model.
  it.each([
    ['ae', 0.5, 2, 0.5, 0.5],
    ['ae', 0.5, 9, 0.5, 0.5],
    ['fac', 39 / 120, 2, 0.79, 0.68],
    ['fac', 39 / 120, 6, 1, 1],
    ['fac', 52 / 120, 2, 0.63, 0.57],
    ['fac', 52 / 120, 6, 0.94, 0.83],
    ['fac', 52 / 120, 9, 1, 1],
    ['fac', 69 / 120, 2, 0.64, 1],
    ['fac', 69 / 120, 6, 1, 1],
  ])('%s at ratio %d after %d blocks connects %d of the pairs', (strategy, ratio, layers, pairs, last) => {
    const [all, prefix] = connectivity(base(strategy), layers, 120, ratio);
    expect(Math.abs(all - pairs)).toBeLessThan(0.0051);
    expect(Math.abs(prefix - last)).toBeLessThan(0.0051);
  });

  it.each([
    ['AASS', 0.95, 1.0],
    ['AAASS', 0.96, 0.93],
    ['AASSS', 0.96, 0.93],
    ['AAS', 0.87, 0.93],
    ['ASS', 0.83, 0.67],
  ])(
    'chunks of 8 in pattern %s connect %d of the pairs after two blocks, all after six',
    (pattern, pairs, last) => {
      const routing = base('chunks', { chunk: 8, pattern });
      const [all, prefix] = connectivity(routing, 2, 120);
      expect(Math.abs(all - pairs)).toBeLessThan(0.0051);
      expect(Math.abs(prefix - last)).toBeLessThan(0.0051);
      expect(connectivity(routing, 6, 120)).toEqual([1, 1]);
    },
  );

  it('strict alternation never mixes', () => {
    const [pairs] = connectivity(base('chunks', { chunk: 8, pattern: 'AS' }), 9, 120);
    expect(Math.abs(pairs - 0.51)).toBeLessThan(0.025);
  });
});

describe('chunks', () => {
  it('follows the pattern, shifted by one chunk per block', () => {
    const routing = base('chunks', { chunk: 2, pattern: 'AAASS' });
    expect(letters(routing, 0, 12)).toBe('AAAAAASSSSAA');
    expect(letters(routing, 1, 12)).toBe('AAAASSSSAAAA');
    expect(letters(routing, 4, 5)).toBe('SSAAA');
  });

  it('routes a position alike, whatever the length and wherever the piece starts', () => {
    fc.assert(
      fc.property(
        fc.record({
          chunk: fc.integer({ min: 1, max: 9 }),
          layer: fc.nat(12),
          start: fc.nat(60),
          length: fc.integer({ min: 1, max: 60 }),
        }),
        ({ chunk, layer, start, length }) => {
          const routing = base('chunks', { chunk });
          const whole = letters(routing, layer, 120);
          expect(letters(routing, layer, length, start)).toBe(whole.slice(start, start + length));
          const period = findStrategy('chunks').period(routing);
          expect(letters(routing, layer, length, start + period)).toBe(whole.slice(start, start + length));
        },
      ),
    );
  });

  it('routes between more than two branches', () => {
    const strategy = findStrategy('chunks');
    const routing = base('chunks', { chunk: 2, pattern: '0122' });
    const parts = strategy.route({ routing, layer: 1, length: 8, start: 2, ratio: 0, branches: 3 });
    // Position 2 is in chunk 1, which at layer 1 has letter 2 of the pattern.
    expect(parts).toEqual([[[4, 6]], [[6, 8]], [[0, 4]]]);
    const usual = base('chunks', { chunk: 1 });
    const all = strategy.route({ routing: usual, layer: 0, length: 6, start: 0, ratio: 0, branches: 3 });
    expect(all).toEqual([[[0, 2]], [[2, 4]], [[4, 6]]]);
    expect(strategy.period(usual, 3)).toBe(6);
    expect(strategy.period(routing)).toBe(8);
  });

  it('needs a pattern that has every branch', () => {
    const { check } = findStrategy('chunks');
    expect(check(base('chunks', { pattern: '0122' }), 3)).toEqual([]);
    expect(check(base('chunks', { pattern: 'AAS2' }), 3)).toEqual([]);
    expect(check(base('chunks', { pattern: '0011' }), 3)).toMatchObject([{ option: 'pattern' }]);
    expect(check(base('chunks', { pattern: '0123' }), 3)).toMatchObject([{ option: 'pattern' }]);
    expect(check(base('chunks', { pattern: '0122' }), 2)).toMatchObject([{ option: 'pattern' }]);
    expect(check(base('chunks', { ratio: 0.4 }), 3)).toMatchObject([{ option: 'ratio' }]);
  });

  it('turns a ratio into the nearest pattern', () => {
    expect(nearestPattern(0.6)).toBe('AAASS');
    expect(nearestPattern(0.5)).toBe('AASS');
    expect(nearestPattern(0.577)).toBe('AAAASSS');
    expect(nearestPattern(0.01)).toBe('AASSSSSS');
    expect(nearestPattern(0.99)).toBe('AAAAAASS');
  });
});

describe('configuration', () => {
  it('refuses a ratio of 0 or 1 and unknown keys', () => {
    expect(routingSchema.safeParse({ strategy: 'fa', ratio: 0 }).success).toBe(false);
    expect(routingSchema.safeParse({ strategy: 'fa', ratio: 1 }).success).toBe(false);
    expect(routingSchema.safeParse({ strategy: 'fa', ratoi: 0.5 }).success).toBe(false);
    expect(routingSchema.safeParse({ strategy: 'fa', ratio: 0.5 }).success).toBe(true);
  });

  it.each(['ae', 'fa-code', 'fac-code'])('%s refuses a ratio', (strategy) => {
    expect(findStrategy(strategy).check(base(strategy, { ratio: 0.4 }))).toMatchObject([{ option: 'ratio' }]);
    expect(findStrategy(strategy).check(base(strategy))).toEqual([]);
  });

  it('keeps the options of chunks to chunks', () => {
    expect(findStrategy('fa').check(base('fa', { chunk: 4, pattern: 'AS' }))).toHaveLength(2);
    const check = findStrategy('chunks').check;
    expect(check(base('chunks', { chunk: 4, pattern: 'AASS' }))).toEqual([]);
    expect(check(base('chunks', { ratio: 0.5, pattern: 'AASS' }))).toMatchObject([{ option: 'ratio' }]);
    expect(check(base('chunks', { pattern: 'AAB' }))).toMatchObject([{ option: 'pattern' }]);
    expect(check(base('chunks', { pattern: 'AAA' }))).toMatchObject([{ option: 'pattern' }]);
  });

  it('names the known strategies when one is not found', () => {
    expect(() => findStrategy('chunk')).toThrow(/no routing strategy 'chunk'.*chunks/);
  });
});
