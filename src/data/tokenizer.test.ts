import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
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
