import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { textCorpus } from '../corpora.ts';
import { findInputs } from './files.ts';
import { pieces } from './pieces.ts';

/** Made by pyarrow and zstandard: tools/golden/containers.py. */
const fixtures = fileURLToPath(new URL('../../../test/fixtures/data', import.meta.url));
const rowText = (row: number): string => `row ${row}: ${`${row} ü😀 `.repeat(row % 7)}`;
const rows = Array.from({ length: 300 }, (_, row) => rowText(row));

let root = '';
let count = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'braid-sources-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, content: string | Uint8Array): string {
  const folder = join(root, String(count++));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

/** The documents of a file, from a record on, and where each begins. */
async function read(path: string, from = 0): Promise<{ record: number; text: string }[]> {
  const [file] = findInputs([path]);
  const documents: { record: number; text: string }[] = [];
  let parts: Uint8Array[] = [];
  for await (const piece of pieces(file, { from, field: 'text', onRead: () => undefined })) {
    parts.push(piece.bytes.slice());
    if (!piece.last) continue;
    documents.push({ record: piece.record, text: Buffer.concat(parts).toString('latin1') });
    parts = [];
  }
  return documents;
}

const latin = (texts: readonly string[]): string[] =>
  texts.map((text) => Buffer.from(text).toString('latin1'));

describe('files of other makers', () => {
  it.each(['rows-snappy.parquet', 'rows-zstd.parquet', 'rows-gzip.parquet', 'rows.jsonl.zst'])(
    '%s is read, whole and from any row on',
    async (name) => {
      const whole = await read(join(fixtures, name));
      expect(whole.map(({ text }) => text)).toEqual(latin(rows));
      for (const at of [1, 96, 97, 200, 299]) {
        expect(await read(join(fixtures, name), whole[at].record)).toEqual(whole.slice(at));
      }
    },
  );

  it('without the column asked for name those that there are', async () => {
    const [file] = findInputs([join(fixtures, 'rows-zstd.parquet')]);
    const reading = pieces(file, { from: 0, field: 'body', onRead: () => undefined }).next();
    await expect(reading).rejects.toThrow(/no column 'body'. It has 'meta', 'text', 'count'/);
    const number = pieces(file, { from: 0, field: 'count', onRead: () => undefined }).next();
    await expect(number).rejects.toThrow(/row 0: the column 'count' holds a bigint, not text/);
  });
});

describe('plain text', () => {
  it('is cut at separators as in memory, wherever they lie in the chunks of a file', async () => {
    const filler = fc.integer({ min: 1_048_560, max: 1_048_590 }).map((length) => 'x'.repeat(length));
    const part = fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom('a', '<|endoftext|>', '\f', '<|end', 'é') },
      filler,
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 12 }), async (parts) => {
        const text = `.${parts.join('')}`;
        const expected = textCorpus([write('a', text)]).documents.map((document) =>
          Buffer.from(document).toString('latin1'),
        );
        for (const path of [write('a.txt', text), write('a.txt.gz', gzipSync(text))]) {
          const documents = (await read(path)).filter(({ text: found }) => found !== '');
          expect(documents.map(({ text: found }) => found.length)).toEqual(expected.map((one) => one.length));
          expect(documents.every(({ text: found }, index) => found === expected[index])).toBe(true);
          const last = documents[documents.length - 1];
          expect((await read(path, last.record))[0].text === last.text).toBe(true);
        }
      }),
      { numRuns: 12 },
    );
  });
});

describe('FASTA', () => {
  it('gives sequences with their letters as they are, without headings and line ends', async () => {
    const path = write('a.fa', '>one\r\nACGTacgt\r\nNNNN\r\n>two\nGG\n\nTT\n>empty\n>last\nA');
    const documents = await read(path);
    expect(documents.map(({ text }) => text)).toEqual(['ACGTacgtNNNN', 'GGTT', '', 'A']);
    expect(await read(path, documents[1].record)).toEqual(documents.slice(1));
  });
});

describe('inputs', () => {
  it('are files, folders and globs, each file once', () => {
    const folder = join(root, 'tree');
    mkdirSync(join(folder, 'below'), { recursive: true });
    for (const name of ['b.txt', 'a.jsonl.gz', 'below/c.parquet', 'below/d.FA', '.hidden']) {
      writeFileSync(join(folder, name), 'x');
    }
    const found = findInputs([join(folder, 'b.txt'), folder, `${folder}/**/*.parquet`]);
    expect(
      found.map(({ path, format, compression }) => [path.slice(folder.length), format, compression]),
    ).toEqual([
      ['/b.txt', 'text', 'none'],
      ['/a.jsonl.gz', 'jsonl', 'gzip'],
      ['/below/c.parquet', 'parquet', 'none'],
      ['/below/d.FA', 'fasta', 'none'],
    ]);
    expect(findInputs([folder], 'text').every(({ format }) => format === 'text')).toBe(true);
  });

  it('that name nothing are errors', () => {
    mkdirSync(join(root, 'nothing'));
    expect(() => findInputs([])).toThrow(/No input/);
    expect(() => findInputs([join(root, 'nothing')])).toThrow(/nothing' has no files/);
    expect(() => findInputs([`${root}/*.xyz`])).toThrow(/matches no file/);
    expect(() => findInputs([write('a.parquet.gz', '')])).toThrow(/Unpack the file first/);
  });
});
