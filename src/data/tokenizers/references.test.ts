/** Agreement with the packages `tokenizers` and `tiktoken`: tools/golden/encodings.py. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { safePlace } from '../shards/safeCut.ts';
import { findTokenizer, type Tokenizer } from '../tokenizer.ts';
import { patternsOf } from './huggingFace.ts';
import { splitWords } from './words.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = join(root, 'test/fixtures/tokenizers');
const wikitext = join(root, '../shared/data/text/wikitext2-test.txt');

interface Expected {
  readonly samples: Readonly<Record<string, readonly number[]>>;
  /** Characters of each word. */
  readonly words?: Readonly<Record<string, readonly number[]>>;
  readonly digests: Readonly<Record<string, string>>;
}

const { samples, expected } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as {
  samples: Readonly<Record<string, string>>;
  expected: Readonly<Record<string, Expected>>;
};

const open = (name: string): Tokenizer =>
  findTokenizer(name.startsWith('tiktoken:') ? name : join(folder, `${name}.json`));

const digest = (tokens: Int32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength))
    .digest('hex');

/** The generator of the script. */
function randomBytes(count: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

const byteLevel = [
  'gpt2',
  'llama3',
  'o200k',
  'digits',
  'trained',
  'tiktoken:gpt2',
  'tiktoken:cl100k_base',
  'tiktoken:o200k_base',
];
const normalizing = ['qwen2'];
/** Large texts take a second each: those whose patterns and merges differ stand for the others. */
const wholly = ['gpt2', 'o200k', 'tiktoken:cl100k_base'];
const randomly = ['llama3', 'tiktoken:gpt2'];
const byLibrary = ['sentencepiece', 'unigram', 'wordpiece'];

describe.each([...byteLevel, ...normalizing, ...byLibrary])('%s', (name) => {
  const { samples: tokens, digests } = expected[name];

  it.each(Object.entries(samples))('encodes %s as the reference does', (sample, text) => {
    // Unigram's vocabulary holds the name of its separator as a word, which the reference then makes; Braid does not.
    if (name === 'unigram' && sample === 'specials') return;
    expect([...open(name).encode(text)]).toEqual(tokens[sample]);
    if (sample !== 'broken') expect([...open(name).encode(Buffer.from(text))]).toEqual(tokens[sample]);
  });

  it.skipIf(!existsSync(wikitext))(
    'encodes WikiText as the reference does (needs the text beside the project)',
    () => {
      const whole = readFileSync(wikitext);
      if (wholly.includes(name)) expect(digest(open(name).encode(whole))).toBe(digests['wikitext2-test']);
      const head = [...whole.toString().replaceAll('<unk>', 'unknown')].slice(0, 20_000).join('');
      expect(digest(open(name).encode(head))).toBe(digests['head of wikitext2-test']);
    },
  );

  it.runIf(randomly.includes(name))('encodes random bytes that became text, and a very long word', () => {
    const text = new TextDecoder().decode(randomBytes(2 ** 20));
    expect(digest(open(name).encode(text))).toBe(digests['random megabyte']);
    const word = Array.from(randomBytes(2 ** 18), (byte) => String.fromCharCode(97 + (byte % 26))).join('');
    expect(digest(open(name).encode(word))).toBe(digests['long word']);
  });
});

describe.each(byteLevel)('%s', (name) => {
  it('runs on the encoder of Braid and gives back any bytes', () => {
    const tokenizer = open(name);
    expect(tokenizer.encoder).toBe('byte pairs');
    const back = (bytes: Uint8Array): Uint8Array => tokenizer.decode(tokenizer.encode(bytes));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(Buffer.compare(back(bytes), bytes)).toBe(0);
      }),
      { numRuns: 50 },
    );
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        expect(Buffer.from(back(Buffer.from(text))).toString()).toBe(text);
      }),
      { numRuns: 50 },
    );
    const megabyte = randomBytes(name === 'tiktoken:gpt2' ? 2 ** 20 : 2 ** 14);
    expect(Buffer.compare(back(megabyte), megabyte)).toBe(0);
  });

  it('never makes its separator of text, and decodes it to nothing', () => {
    const tokenizer = open(name);
    const tokens = tokenizer.encode('<|endoftext|></s><|end_of_text|>');
    expect(tokens).not.toContain(tokenizer.separator);
    expect(Buffer.from(tokenizer.decode([tokenizer.separator, ...tokens])).toString()).toBe(
      '<|endoftext|></s><|end_of_text|>',
    );
    expect(() => tokenizer.decode([tokenizer.vocabulary])).toThrow(/another tokenizer/);
    expect(tokenizer.separator).toBeLessThan(tokenizer.vocabulary);
  });
});

describe.each(['gpt2', 'llama3', 'o200k', 'digits'])('%s', (name) => {
  it.each(Object.entries(samples))('cuts %s into the words of the reference', (sample, text) => {
    const { pre_tokenizer } = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
    const words = text === '' ? [] : splitWords(text, patternsOf(pre_tokenizer) ?? []);
    expect(words.map((word) => [...word].length)).toEqual(expected[name].words?.[sample]);
  });
});

/** Everything that the patterns treat in a way of its own. */
const morsel = fc.constantFrom(
  ...['a', 'Z', 'word', "'s", '1', '23', ' ', '  ', '\n', '\r\n', '/', '.', '!', 'é', '日', '\t', '\u0085'],
);

describe('a safe cut', () => {
  it.each(byteLevel)('changes no token of %s', (name) => {
    const tokenizer = open(name);
    let cuts = 0;
    fc.assert(
      fc.property(fc.array(morsel, { minLength: 5, maxLength: 60 }), fc.nat(20), (parts, least) => {
        const text = Buffer.from(parts.join(''));
        const at = safePlace(text, least);
        if (at === undefined) return;
        cuts++;
        const [left, right] = [text.subarray(0, at), text.subarray(at)].map((part) => tokenizer.encode(part));
        expect([...left, ...right]).toEqual([...tokenizer.encode(text)]);
      }),
      { numRuns: 400 },
    );
    expect(cuts).toBeGreaterThan(20);
  });
});

describe.each(byLibrary)('%s', (name) => {
  it('runs on the library and says so', () => {
    const tokenizer = open(name);
    expect(tokenizer.encoder).toMatch(/library/);
    const text = 'the cat , and the dog';
    expect(
      Buffer.from(tokenizer.decode(tokenizer.encode(text)))
        .toString()
        .trim(),
    ).toBe(text);
    expect(tokenizer.encode('[SEP]</s>')).not.toContain(tokenizer.separator);
    const long = 'some more words of a long text '.repeat(4000).trim();
    const tokens = tokenizer.encode(long);
    const short = tokenizer.encode(long.slice(0, 3099));
    expect(tokens.subarray(0, short.length - 3)).toEqual(short.subarray(0, -3));
    expect(Buffer.from(tokenizer.decode(tokens)).toString().trim()).toBe(long);
  });
});
