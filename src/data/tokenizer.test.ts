import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { byteTokenizer, findTokenizer } from './tokenizer.ts';

describe('the byte tokenizer', () => {
  it('gives back any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(byteTokenizer.decode(byteTokenizer.encode(bytes))).toEqual(bytes);
      }),
    );
  });

  it('gives back any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const back = new TextDecoder('utf-8', { ignoreBOM: true }).decode(
          byteTokenizer.decode(byteTokenizer.encode(text)),
        );
        expect(back).toBe(text);
      }),
    );
  });

  it('drops separators and refuses tokens of another tokenizer', () => {
    expect([...byteTokenizer.decode([256, 65, 256])]).toEqual([65]);
    expect(() => byteTokenizer.decode([257])).toThrow(/Token 257/);
    expect(byteTokenizer.vocabulary).toBe(257);
  });

  it('can be missing: then there are token ids, and text is refused with advice', () => {
    const none = findTokenizer('none');
    expect(() => none.encode('')).toThrow(/no tokenizer.*--ids 1,2,3.*--tokenizer bytes/);
    expect(() => none.decode([1])).toThrow(/no tokenizer/);
  });

  it('is found by name', () => {
    expect(findTokenizer('bytes')).toBe(byteTokenizer);
    expect(() => findTokenizer('byte')).toThrow(/Known: 'bytes'/);
  });
});

describe('a tokenizer.json', () => {
  const folder = mkdtempSync(join(tmpdir(), 'braid-tokenizer-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const given = JSON.parse(
    readFileSync(fileURLToPath(new URL('../../test/fixtures/tokenizers/gpt2.json', import.meta.url)), 'utf8'),
  );
  const write = (name: string, value: unknown): string => {
    const path = join(folder, name);
    writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
    return path;
  };

  it('is known by its content and found in its folder', () => {
    const one = findTokenizer(write('tokenizer.json', given));
    expect(findTokenizer(folder).identity).toBe(one.identity);
    expect(findTokenizer(write('copy.json', given)).identity).toBe(one.identity);
    const [first, second, ...rest] = given.model.merges;
    const changed = { ...given, model: { ...given.model, merges: [second, first, ...rest] } };
    expect(findTokenizer(write('changed.json', changed)).identity).not.toBe(one.identity);
  });

  it('may lack what older files lack', () => {
    const { vocab, merges } = given.model;
    const older = {
      added_tokens: given.added_tokens,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
      model: { vocab, merges: merges.map((merge: string | string[]) => [merge].flat().join(' ')) },
    };
    const tokenizer = findTokenizer(write('older.json', older));
    expect(tokenizer.encoder).toBe('byte pairs');
    const text = 'An older file, read as a newer one.';
    expect(tokenizer.encode(text)).toEqual(findTokenizer(write('newer.json', given)).encode(text));
  });

  it('that is damaged or of an unknown kind is an error that names it', () => {
    expect(() => findTokenizer(write('a.json', '{'))).toThrow(/a\.json' is not JSON/);
    expect(() => findTokenizer(write('b.json', { vocab: 1 }))).toThrow(
      /b\.json' is not a tokenizer\.json.*model/,
    );
    const torn = { ...given, model: { ...given.model, merges: [['q', 'nothing']] } };
    expect(() => findTokenizer(write('c.json', torn))).toThrow(
      /c\.json': merge number 0 joins 'q' and 'nothing'/,
    );
    const strange = { ...given, model: { type: 'Strange', vocab: {} } };
    expect(() => findTokenizer(write('d.json', strange))).toThrow(
      /d\.json' is of a kind that neither Braid nor/,
    );
    const empty = mkdtempSync(join(folder, 'empty-'));
    expect(() => findTokenizer(empty)).toThrow(/has no tokenizer\.json/);
  });
});
