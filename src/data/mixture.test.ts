import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Loader } from './loader.ts';
import { mix } from './mixture.ts';
import type { Rows, TokenStream } from './packing.ts';
import { packDocuments } from './packing.ts';
import { byteTokenizer } from './tokenizer.ts';

/** A text whose every byte says which text it is. */
const textOf = (mark: number, size: number): TokenStream =>
  packDocuments([new Uint8Array(size).fill(mark)], byteTokenizer);

function emptyRows(batch: number, length: number): Rows {
  const make = (): Int32Array => new Int32Array(batch * length).fill(-7);
  return { ids: make(), positions: make(), documents: make(), targets: make() };
}

/** The marks of the next rows, each of two tokens. */
function take(loader: Loader, batch: number): number[] {
  const rows = emptyRows(batch, 2);
  loader.fill(rows, batch);
  return Array.from({ length: batch }, (_, slot) => Math.min(rows.targets[2 * slot], rows.ids[2 * slot + 1]));
}

const weightsOf = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 });

describe('a mixture', () => {
  it('keeps to its weights at any time', () => {
    fc.assert(
      fc.property(weightsOf, fc.integer({ min: 1, max: 200 }), (weights, rows) => {
        const parts = weights.map((weight, mark) => ({ source: textOf(mark, 20 + mark), weight }));
        const loader = new Loader(mix(parts), 2, 1);
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const counts = weights.map(() => 0);
        for (let row = 1; row <= rows; row++) {
          counts[take(loader, 1)[0]]++;
          weights.forEach((weight, mark) => {
            expect(Math.abs(counts[mark] - (weight / total) * row)).toBeLessThan(weights.length);
          });
        }
      }),
      { numRuns: 40 },
    );
  });

  it('goes through each of its texts once before it begins it again', () => {
    const parts = [3, 1].map((weight, mark) => ({ source: textOf(mark, 19), weight }));
    const mixture = mix(
      parts.map(({ source }, index) => ({ source: numbered(source), weight: parts[index].weight })),
    );
    const loader = new Loader(mixture, 2, 5);
    const rows = emptyRows(1, 2);
    const seen: number[] = [];
    for (let row = 0; row < 40; row++) {
      loader.fill(rows, 1);
      if (loader.state.taken?.[1] === seen.length + 1) seen.push(rows.targets[0]);
    }
    expect(seen).toHaveLength(10);
    expect(new Set(seen).size).toBe(10);
  });

  it('continues from any state as if it had never stopped', () => {
    fc.assert(
      fc.property(weightsOf, fc.nat(60), fc.integer({ min: 1, max: 7 }), (weights, before, batch) => {
        const parts = weights.map((weight, mark) => ({ source: numbered(textOf(mark, 30 + mark)), weight }));
        const whole = new Loader(mix(parts), 2, 3);
        for (let row = 0; row < before; row++) take(whole, 1);
        const resumed = new Loader(mix(parts), 2, 9);
        resumed.seek(JSON.parse(JSON.stringify(whole.state)));
        for (let step = 0; step < 4; step++) expect(take(resumed, batch)).toEqual(take(whole, batch));
        expect(resumed.state).toEqual(whole.state);
      }),
      { numRuns: 40 },
    );
  });

  it('reads as its texts one behind the other, with one separator between them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.uint8Array({ maxLength: 9 }), { minLength: 1, maxLength: 4 }), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.nat(100),
        (texts, at) => {
          const mixture = mix(
            texts.map((documents) => ({ source: packDocuments(documents, byteTokenizer), weight: 1 })),
          );
          const whole = packDocuments(texts.flat(), byteTokenizer);
          expect(mixture.count).toBe(whole.count);
          const begin = at % whole.count;
          const into = new Int32Array(whole.count - begin);
          mixture.read(begin, into.length, into, 0);
          expect(into).toEqual(whole.tokens.slice(begin));
        },
      ),
    );
  });

  it('refuses texts of two tokenizers, weights that are none, and the state of another mixture', () => {
    const source = textOf(1, 9);
    expect(() => mix([{ source, weight: 0 }])).toThrow(/above 0; given 0/);
    expect(() => mix([])).toThrow(/at least one/);
    const other = { ...textOf(1, 9), separator: 3 };
    expect(() =>
      mix([
        { source, weight: 1 },
        { source: other, weight: 1 },
      ]),
    ).toThrow(/256 and 3/);
    const loader = new Loader(mix([{ source, weight: 1 }]), 2, 1);
    expect(() => loader.seek({ seed: 1, epoch: 0, index: 0 })).toThrow(/another text/);
  });
});

describe('documents', () => {
  it('are kept apart or joined', () => {
    const stream = packDocuments([Buffer.from('abc'), Buffer.from('de')], byteTokenizer);
    const rows = emptyRows(1, 7);
    new Loader(stream, 7, 1).fill(rows, 1);
    expect([...rows.documents]).toEqual([0, 0, 0, 0, 4, 4, 4]);
    new Loader(stream, 7, 1, { documents: 'joined' }).fill(rows, 1);
    expect([...rows.documents]).toEqual([0, 0, 0, 0, 0, 0, 0]);
  });
});

/** The same text with numbers for tokens, so that no two rows are alike. */
function numbered(stream: TokenStream): TokenStream {
  const tokens = Int32Array.from(stream.tokens, (_, index) => index);
  return {
    ...stream,
    tokens,
    read: (begin, count, into, at) => into.set(tokens.subarray(begin, begin + count), at),
  };
}
