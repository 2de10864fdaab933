import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitCorpus } from '../corpora.ts';
import { beginning, type Place } from './place.ts';
import { safeCut } from './safeCut.ts';
import type { Segment, SegmentOptions } from './segments.ts';
import { Segmenter } from './segments.ts';

/** Documents as pieces of a size; from a place on, what was done before it is left out, as a reader does. */
function segmentsOf(
  documents: readonly Uint8Array[],
  options: SegmentOptions,
  size: number,
  place: Place = beginning,
): Segment[] {
  const segmenter = new Segmenter(place, options);
  const found: Segment[] = [];
  documents.forEach((document, record) => {
    if (record < place.record) return;
    for (let at = 0; at === 0 || at < document.length; at += size) {
      const bytes = document.subarray(at, at + size);
      found.push(...segmenter.push(0, { record, bytes, last: at + size >= document.length }));
    }
  });
  return found;
}

/** What the segments say again as documents: those to train on and those to validate with. */
function documentsOf(segments: readonly Segment[]): { train: string[]; validation: string[] } {
  const train: string[] = [];
  const validation: string[] = [];
  for (const { validates, opens, bytes } of segments) {
    const into = validates ? validation : train;
    const text = Buffer.from(bytes).toString('latin1');
    if (opens) into.push(text);
    else into.push((into.pop() ?? '(no document is open)') + text);
  }
  return { train, validation };
}

const plain = ({ validates, opens, bytes, next }: Segment) => ({
  validates,
  opens,
  bytes: Buffer.from(bytes).toString('latin1'),
  next,
});
const line = fc.string({ maxLength: 40 }).map((text) => `${text}\n`);
const documentsArbitrary = fc.array(
  fc.array(line, { minLength: 1, maxLength: 200 }).map((lines) => Buffer.from(`.${lines.join('')}`)),
  { minLength: 1, maxLength: 6 },
);

describe('segments', () => {
  it('split as a text in memory does, whatever the pieces and the longest segment', () => {
    fc.assert(
      fc.property(
        documentsArbitrary,
        fc.integer({ min: 2, max: 8 }),
        fc.integer({ min: 1, max: 999 }),
        fc.integer({ min: 1, max: 999 }),
        (documents, validateEvery, size, segmentBytes) => {
          const total = documents.reduce((sum, document) => sum + document.length, 0);
          const partBytes = Math.max(1, Math.floor(total / 100));
          const few = documents.length < validateEvery;
          const segments = segmentsOf(
            documents,
            { validateEvery, segmentBytes, ...(few ? { partBytes } : {}) },
            size,
          );
          const expected = splitCorpus({ name: '', documents }, validateEvery);
          const text = (parts: readonly Uint8Array[]): string[] =>
            parts.map((part) => Buffer.from(part).toString('latin1'));
          expect(documentsOf(segments)).toEqual({
            train: text(expected.train),
            validation: text(expected.validation),
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('go on from the place after any segment as if they had never stopped', () => {
    const words = Buffer.from('some words of a long text\n'.repeat(12_000));
    const documents = [
      Buffer.from('first'),
      words,
      Buffer.from(' \n'),
      words.subarray(7),
      Buffer.from('last'),
    ];
    for (const options of [
      { validateEvery: 2, segmentBytes: 30_000 },
      { validateEvery: 5, segmentBytes: 30_000, partBytes: 100_001 },
    ]) {
      const whole = segmentsOf(documents, options, 65_536);
      expect(whole.length).toBeGreaterThan(8);
      if (!('partBytes' in options)) {
        const [validated, ...others] = documentsOf(whole).validation;
        expect([validated.length, others.length]).toEqual([words.length, 1]);
        expect(documentsOf(whole).train.map(({ length }) => length)).toEqual([5, words.length - 7]);
      }
      whole.forEach(({ next }, index) => {
        const rest = segmentsOf(documents, options, 10_000, next);
        expect(rest.map(plain)).toEqual(whole.slice(index + 1).map(plain));
      });
    }
  });

  it('leave blank documents out and do not count them', () => {
    const documents = ['a', ' \n', 'b', '', 'c'].map((text) => Buffer.from(text));
    expect(documentsOf(segmentsOf(documents, { validateEvery: 2 }, 9))).toEqual({
      train: ['a', 'c'],
      validation: ['b'],
    });
  });
});

describe('a safe cut', () => {
  it('lies before a space between letters, or after a line', () => {
    const cut = (text: string, least: number): string[] => {
      const at = safeCut(Buffer.from(text), least);
      return [Buffer.from(text).subarray(0, at).toString(), Buffer.from(text).subarray(at).toString()];
    };
    expect(cut('one two three', 4)).toEqual(['one two', ' three']);
    expect(cut('f(1);\n\n  g(2);\nh();', 3)).toEqual(['f(1);\n\n  g(2);\n', 'h();']);
    // A slash belongs to the line end before it, for one of the tokenizers.
    expect(cut('f();\n/x\n(1)', 3)).toEqual(['f();\n/x\n', '(1)']);
    expect(cut('ééééé', 3)).toEqual(['éé', 'ééé']);
    expect(safeCut(new Uint8Array(20).fill(0x80), 7)).toBe(7);
  });
});
