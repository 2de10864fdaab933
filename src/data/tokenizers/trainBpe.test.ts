import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBrown } from '../brown.ts';
import { findInputs } from '../sources/files.ts';
import { findTokenizer } from '../tokenizer.ts';
import { trainBpe } from './trainBpe.ts';
import { trainTokenizer, writeTrainedTokenizer } from './trainTokenizer.ts';

const kept = fileURLToPath(new URL('../../../test/fixtures/tokenizers/trained.json', import.meta.url));

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'braid-train-bpe-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Word {
  readonly tokens: readonly number[];
  readonly count: number;
}

function pairCounts(words: readonly Word[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { tokens, count } of words) {
    for (let i = 0; i + 1 < tokens.length; i++) {
      const key = `${tokens[i]} ${tokens[i + 1]}`;
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
  }
  return counts;
}

function merged(word: Word, left: number, right: number, token: number): Word {
  const tokens: number[] = [];
  for (let i = 0; i < word.tokens.length; i++) {
    const hit = word.tokens[i] === left && word.tokens[i + 1] === right;
    tokens.push(hit ? token : word.tokens[i]);
    if (hit) i++;
  }
  return { ...word, tokens };
}

describe('learning byte pairs', () => {
  it('always takes a pair that is most frequent at that moment, and stops when none occurs twice', () => {
    const word = fc.record({
      tokens: fc.array(fc.nat(3), { minLength: 1, maxLength: 9 }),
      count: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(
        fc.array(word, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 12 }),
        (given, most) => {
          const learned = trainBpe(given, { merges: most, firstToken: 10 });
          let words: readonly Word[] = given;
          learned.forEach(({ left, right }, index) => {
            const counts = pairCounts(words);
            expect(counts.get(`${left} ${right}`)).toBe(Math.max(...counts.values()));
            words = words.map((one) => merged(one, left, right, 10 + index));
          });
          if (learned.length < most) {
            expect(Math.max(1, ...pairCounts(words).values())).toBe(1);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("a tokenizer of one's own", () => {
  const write = (name: string, text: string): string => {
    writeFileSync(join(root, name), text);
    return join(root, name);
  };
  const brown = (): string => write('brown.txt', readBrown().slice(0, 20).join('\f'));

  it('is the same for the same text: the one that the reference has read (tools/golden/encodings.py)', async () => {
    const text = await trainTokenizer({ files: findInputs([brown()]), field: 'text', size: 700 });
    expect(text).toBe(readFileSync(kept, 'utf8'));
  });

  it('makes fewer tokens of the text than there are bytes, and gives any bytes back', async () => {
    const path = join(root, 'tokenizer.json');
    const source = brown();
    await writeTrainedTokenizer(path, { files: findInputs([source]), field: 'text', size: 1000 });
    const tokenizer = findTokenizer(path);
    expect(tokenizer).toMatchObject({ vocabulary: 1000, separator: 0, encoder: 'byte pairs' });
    const text = readFileSync(source);
    const tokens = tokenizer.encode(text);
    expect(tokens.length).toBeLessThan(text.length / 2);
    expect(new Set(tokens).size).toBeGreaterThan(700);
    expect(Buffer.compare(tokenizer.decode(tokens), text)).toBe(0);
    const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    expect([...tokenizer.decode(tokenizer.encode(bytes))]).toEqual([...bytes]);
  });

  it('needs text that repeats, and room for the bytes', async () => {
    const files = findInputs([write('short.txt', 'abc abd')]);
    await expect(trainTokenizer({ files, field: 'text', size: 300 })).rejects.toThrow(
      /after 25\d no pair occurs twice/,
    );
    await expect(trainTokenizer({ files, field: 'text', size: 257 })).rejects.toThrow(
      /more than 257 tokens.*given 257/,
    );
  });
});
