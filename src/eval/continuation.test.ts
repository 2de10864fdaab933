import { describe, expect, it } from 'vitest';
import { byteTokenizer } from '../data/index.ts';
import { encodePair, encodeReleased } from './continuation.ts';

const encoding = { tokenizer: byteTokenizer, begin: 256, beginsContexts: true, length: 100 };
const text = (tokens: Int32Array) => Buffer.from(byteTokenizer.decode(tokens)).toString();

describe('a context and its continuation', () => {
  it('are cut where the context ends; white space at its end belongs to the continuation', () => {
    const { tokens, from } = encodePair('one \n', 'two', encoding);
    expect(tokens[0]).toBe(256);
    expect(text(tokens.subarray(0, from))).toBe('one');
    expect(text(tokens.subarray(from))).toBe(' \ntwo');
  });

  it('without a context follow the token that begins a text', () => {
    expect(encodePair('', 'ab', { ...encoding, beginsContexts: false })).toEqual({
      tokens: Int32Array.of(256, 97, 98),
      from: 1,
    });
  });

  it('too long for the model lose their beginning, and keep one token to read', () => {
    const { tokens, from } = encodePair('abcdef', 'gh', { ...encoding, length: 4 });
    expect(text(tokens)).toBe('defgh');
    expect(from).toBe(3);
    expect(encodePair('ab', 'cdefgh', { ...encoding, length: 3 })).toMatchObject({ from: 1 });
  });

  it('as released have no token before them and are counted from the end', () => {
    expect(encodeReleased('ab', ' cd', true, encoding)).toEqual({
      tokens: Int32Array.from(Buffer.from('ab cd')),
      from: 2,
    });
    // A tokenizer that takes two letters at a time: alone the continuation is two tokens, together one and a half.
    const pairs = {
      ...byteTokenizer,
      encode: (given: string | Uint8Array) =>
        Int32Array.from({ length: Math.ceil(given.length / 2) }, (_, i) => i),
    };
    const found = encodeReleased('a', 'bcd', false, { ...encoding, tokenizer: pairs });
    expect(found).toMatchObject({ from: 1 });
  });
});
