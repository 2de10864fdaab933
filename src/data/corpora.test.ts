import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainText, readBrown } from './brown.ts';
import { splitCorpus, textCorpus } from './corpora.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-corpora-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

describe('text files', () => {
  it('are one document without separators and several with them', () => {
    expect(textCorpus([file('one', 'a\n\nb\n')]).documents.map(text)).toEqual(['a\n\nb\n']);
    const several = textCorpus([file('several', 'a\n<|endoftext|>b\f\n<|endoftext|>c')]);
    expect(several.documents.map(text)).toEqual(['a\n', 'b', 'c']);
  });

  it('keep bytes that are not UTF-8', () => {
    const path = join(folder, 'binary');
    writeFileSync(path, Uint8Array.from([0xff, 0x00, 0xc3]));
    expect([...(textCorpus([path]).documents[0] ?? [])]).toEqual([0xff, 0x00, 0xc3]);
  });

  it('that are missing, folders or empty are errors that name them', () => {
    expect(() => textCorpus([join(folder, 'nowhere')])).toThrow(/nowhere' does not exist/);
    expect(() => textCorpus([folder])).toThrow(/is a folder/);
    expect(() => textCorpus([file('empty', '')])).toThrow(/empty' is empty/);
    expect(() => textCorpus([file('blank', ' \n\f\n')])).toThrow(/blank' is empty/);
    expect(() => textCorpus([])).toThrow(/--text FILE/);
  });
});

describe('splitting off validation', () => {
  it('takes every n-th document', () => {
    const documents = Array.from({ length: 41 }, (_, index) => Uint8Array.of(index));
    const { train, validation } = splitCorpus({ name: '', documents }, 20);
    expect(validation.map((document) => document[0])).toEqual([19, 39]);
    expect(train).toHaveLength(39);
  });

  it('cuts a long document into pieces, and loses and doubles nothing', () => {
    const line = fc.string({ maxLength: 30 }).map((s) => `${s}\n`);
    fc.assert(
      fc.property(
        fc.array(fc.array(line, { minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 4, max: 20 }),
        (texts, every) => {
          const documents = texts.map((lines) => Buffer.from(lines.join('')));
          const { train, validation } = splitCorpus({ name: '', documents }, every);
          const bytes = (parts: readonly Uint8Array[]): number[] => parts.flatMap((part) => [...part]).sort();
          expect(bytes([...train, ...validation])).toEqual(bytes(documents));
          const size = (parts: readonly Uint8Array[]): number =>
            parts.reduce((n, part) => n + part.length, 0);
          if (size(documents) > 3000) {
            expect(validation.length).toBeGreaterThan(1);
            expect(size(validation)).toBeLessThan(size(train));
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('the Brown corpus', () => {
  it('loses its tags and reads as text', () => {
    const tagged =
      "\n\n\tThe/at jury/nn (/( Fulton/np )/) said/vbd ,/, ``/`` No/at evidence/nn ''/'' !/. !/.\n" +
      "It/pps won't/md* say/vb '/' pro/jj '/' and/or/cc $5/nns **zg/nn --/-- 1/2''/nn ./.\n\n\n\n" +
      'Merger/nn-hl proposed/vbn-hl \nHowever/wrb ./.\n';
    expect(plainText(tagged)).toBe(
      'The jury (Fulton) said, "No evidence"! It won\'t say \'pro\' and/or $5 -- 1/2".\n' +
        'Merger proposed\nHowever.\n',
    );
  });

  it('has 500 texts of about a million words', () => {
    const texts = readBrown();
    expect(texts).toHaveLength(500);
    const words = texts.reduce((sum, one) => sum + one.split(/\s+/).length, 0);
    expect(words).toBeGreaterThan(950_000);
    expect(texts[0]).toMatch(
      /^The Fulton County Grand Jury said Friday an investigation of Atlanta's recent/,
    );
    expect(texts.join('')).not.toMatch(/\/nn|``|''/);
  });
});
