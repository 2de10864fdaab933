import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Rows } from './packing.ts';
import { coveringRows, fillRow, packDocuments, wholeRows } from './packing.ts';
import { byteTokenizer } from './tokenizer.ts';

const S = byteTokenizer.separator;
const documentsOf = fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 12 });

function emptyRows(size: number): Rows {
  const make = (): Int32Array => new Int32Array(size).fill(-7);
  return { ids: make(), positions: make(), documents: make(), targets: make() };
}

describe('packing', () => {
  it('matches the picture in the header', () => {
    const stream = packDocuments(
      ['abc', 'de', 'fghi'].map((text) => Buffer.from(text)),
      byteTokenizer,
    );
    expect(wholeRows(stream, 4)).toBe(3);
    const rows = emptyRows(12);
    for (const row of [0, 1, 2]) fillRow(stream, row, 4, rows, row);
    const codes = (text: string): number[] => [...text].map((c) => (c === '|' ? S : c.charCodeAt(0)));
    expect([...rows.ids]).toEqual(codes('|abc|de|fghi'));
    expect([...rows.targets]).toEqual(codes('abc|de|fghi|'));
    expect([...rows.documents]).toEqual([0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0]);
    expect([...rows.positions]).toEqual([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
  });

  it('makes every byte and every end of a document a target once, in order, each within its document', () => {
    fc.assert(
      fc.property(documentsOf, fc.integer({ min: 1, max: 9 }), (documents, length) => {
        const stream = packDocuments(documents, byteTokenizer);
        const targets: number[] = [];
        const rows = emptyRows(length);
        for (let row = 0; row < coveringRows(stream, length); row++) {
          fillRow(stream, row, length, rows, 0);
          rows.targets.forEach((target, t) => {
            if (target >= 0) targets.push(target);
            const start = rows.documents[t];
            expect(start).toBeGreaterThanOrEqual(0);
            expect(start).toBeLessThanOrEqual(t);
            // A later start is a separator, and no separator with a target lies after it in the same document.
            if (start > 0) expect(rows.ids[start]).toBe(S);
            if (target >= 0 && t > start) expect(rows.ids[t]).not.toBe(S);
          });
        }
        expect(targets).toEqual(documents.flatMap((document) => [...document, S]));
      }),
    );
  });

  it('finds the document of any row as a scan from the front does', () => {
    fc.assert(
      fc.property(documentsOf, fc.integer({ min: 1, max: 9 }), (documents, length) => {
        const stream = packDocuments(documents, byteTokenizer);
        const rows = emptyRows(length);
        for (let row = 0; row < wholeRows(stream, length); row++) {
          fillRow(stream, row, length, rows, 0);
          for (let t = 0; t < length; t++) {
            const at = row * length + t;
            const start = Math.max(...[...stream.starts].filter((s) => s <= at));
            expect(rows.documents[t]).toBe(Math.max(0, start - row * length));
          }
        }
      }),
    );
  });

  it('leaves other places of the batch alone and refuses a row past the end', () => {
    const stream = packDocuments([Buffer.from('abcd')], byteTokenizer);
    const rows = emptyRows(8);
    fillRow(stream, 0, 4, rows, 1);
    expect([...rows.ids.subarray(0, 4)]).toEqual([-7, -7, -7, -7]);
    expect(() => fillRow(stream, 9, 4, rows, 0)).toThrow(/past the end/);
  });
});
