import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Loader } from './loader.ts';
import { permutation } from './order.ts';
import type { Rows } from './packing.ts';
import { packDocuments } from './packing.ts';
import { byteTokenizer } from './tokenizer.ts';

const stream = packDocuments([Uint8Array.from({ length: 99 }, (_, index) => index)], byteTokenizer);

function take(loader: Loader, batch: number): number[] {
  const make = (): Int32Array => new Int32Array(batch * 10);
  const rows: Rows = { ids: make(), positions: make(), documents: make(), targets: make() };
  loader.fill(rows, batch);
  return Array.from({ length: batch }, (_, slot) => Math.floor(rows.targets[slot * 10] / 10));
}

describe('the order of an epoch', () => {
  it('is a permutation for any count, seed and epoch', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat(50), (count, seed, epoch) => {
        const order = permutation(count, seed, epoch);
        const seen = new Set(Array.from({ length: count }, (_, index) => order(index)));
        expect(seen.size).toBe(count);
        for (const row of seen) expect(row).toBeLessThan(count);
      }),
      { numRuns: 60 },
    );
  });

  it('differs between epochs and seeds', () => {
    const list = (seed: number, epoch: number): string =>
      Array.from({ length: 50 }, (_, index) => permutation(50, seed, epoch)(index)).join();
    expect(new Set([list(1, 0), list(1, 1), list(2, 0), list(2, 1)]).size).toBe(4);
  });
});

describe('the loader', () => {
  it('gives every row once per epoch', () => {
    const loader = new Loader(stream, 10, 3);
    expect(loader.rows).toBe(10);
    const first = take(loader, 10);
    const second = take(loader, 10);
    for (const epoch of [first, second])
      expect([...epoch].sort((a, b) => a - b)).toEqual([...Array(10).keys()]);
    expect(first).not.toEqual(second);
  });

  it('continues from any state as if it had never stopped', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(60), fc.integer({ min: 1, max: 7 }), (seed, before, batch) => {
        const whole = new Loader(stream, 10, seed);
        for (let row = 0; row < before; row++) take(whole, 1);
        const resumed = new Loader(stream, 10, seed + 1);
        // What it did before must not matter.
        take(resumed, before % 3);
        resumed.seek(JSON.parse(JSON.stringify(whole.state)));
        for (let step = 0; step < 4; step++) expect(take(resumed, batch)).toEqual(take(whole, batch));
      }),
      { numRuns: 50 },
    );
  });

  it('refuses a text shorter than one sequence and a state of another text', () => {
    expect(() => new Loader(stream, 101, 1)).toThrow(/100 tokens, fewer than one sequence of 101/);
    const loader = new Loader(stream, 10, 1);
    expect(() => loader.seek({ seed: 1, epoch: 0, index: 11 })).toThrow(/another text/);
  });
});
