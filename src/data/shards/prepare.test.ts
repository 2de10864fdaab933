import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BraidError } from '../../graph/index.ts';
import { splitCorpus } from '../corpora.ts';
import type { TokenSource } from '../packing.ts';
import { packDocuments } from '../packing.ts';
import { byteTokenizer } from '../tokenizer.ts';
import { readManifest } from './manifest.ts';
import { type PrepareOptions, prepare } from './prepare.ts';
import { finishedManifest, openShards, verifyShards } from './source.ts';

let root = '';
let names = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'braid-shards-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const fresh = (): string => join(root, `out-${names++}`);

function inputFile(name: string, content: string | Uint8Array): string {
  const folder = join(root, `in-${names++}`);
  mkdirSync(folder);
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

function options(inputs: readonly string[], more: Partial<PrepareOptions> = {}): PrepareOptions {
  return { inputs, folder: fresh(), tokenizer: 'bytes', validateEvery: 3, threads: 0, ...more };
}

function tokensOf(source: TokenSource): number[] {
  const into = new Int32Array(source.count);
  source.read(0, into.length, into, 0);
  return [...into];
}

function contents(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => [name, readFileSync(join(folder, name)).toString('base64')]),
  );
}

const documentsArbitrary = fc.array(
  fc
    .uint8Array({ minLength: 1, maxLength: 60 })
    .map((bytes) => Uint8Array.from(bytes, (byte) => 33 + (byte % 90))),
  { minLength: 6, maxLength: 30 },
);

describe('prepared shards', () => {
  it('hold what packing in memory gives, wherever they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        documentsArbitrary,
        fc.integer({ min: 1, max: 300 }),
        async (documents, shardTokens) => {
          const path = inputFile('text.txt', Buffer.concat(documents.flatMap((d) => [d, Buffer.from('\f')])));
          const given = options([path], { shardTokens });
          const { manifest } = await prepare(given);
          const { train, validation } = splitCorpus({ name: '', documents }, 3);
          for (const [split, expected] of [
            ['train', train],
            ['validation', validation],
          ] as const) {
            const source = openShards(given.folder, manifest, split);
            const packed = packDocuments(expected, byteTokenizer);
            expect(tokensOf(source)).toEqual([...packed.tokens]);
            expect(source.bytes).toBe(packed.bytes);
            const shards = manifest.shards[split];
            expect(shards.reduce((sum, shard) => sum + shard.documents, 0)).toBe(expected.length);
          }
          verifyShards(given.folder, manifest);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('can be read from any place to any other across shards', async () => {
    const words = 'one two three four five six seven eight nine ten\n'.repeat(40_000);
    const given = options([inputFile('long.txt', words)], { shardTokens: 300_000 });
    const { manifest } = await prepare(given);
    expect(manifest.shards.train.length).toBeGreaterThan(3);
    const source = openShards(given.folder, manifest, 'train');
    const all = tokensOf(source);
    fc.assert(
      fc.property(fc.nat(source.count - 1), fc.nat(400_000), (begin, length) => {
        const count = Math.min(length, source.count - begin);
        const into = new Int32Array(count + 2).fill(-1);
        source.read(begin, count, into, 1);
        expect(into[0]).toBe(-1);
        expect(into[count + 1]).toBe(-1);
        expect(
          Buffer.compare(
            Buffer.from(into.subarray(1, count + 1)),
            Buffer.from(all.slice(begin, begin + count)),
          ),
        ).toBe(0);
      }),
      { numRuns: 20 },
    );
  });

  it('come from every form of input alike', async () => {
    const texts = ['first', 'zweite Zeile\nmehr', 'trois', 'vier', 'five', 'sex', 'sju'];
    const rows = texts.map((text) => `${JSON.stringify({ id: 1, body: text })}\n`).join('\n');
    const plain = await prepare(options([inputFile('a.txt', texts.join('<|endoftext|>'))]));
    for (const [name, content] of [
      ['a.txt.gz', gzipSync(texts.join('\f'))],
      ['a.jsonl', rows],
      ['a.jsonl.gz', gzipSync(rows)],
    ] as const) {
      const { manifest } = await prepare(options([inputFile(name, content)], { field: 'body' }));
      expect(manifest.shards, name).toEqual(plain.manifest.shards);
    }
  });
});

describe('a preparation', () => {
  it('that was stopped anywhere goes on and ends with the same bytes', async () => {
    const folder = join(root, 'stopped');
    mkdirSync(folder);
    const words = 'the same words again and again\n'.repeat(30_000);
    writeFileSync(join(folder, 'a.txt'), words);
    writeFileSync(join(folder, 'b.txt.gz'), gzipSync(`${words.slice(9)}\f${words.slice(99)}`));
    writeFileSync(join(folder, 'c.jsonl'), `${JSON.stringify({ text: words })}\n`.repeat(3));
    for (const validateEvery of [3, 50]) {
      const whole = options([folder], { shardTokens: 400_000, validateEvery });
      const { found } = await prepare(whole);
      expect(found).toBe(0);
      const broken = options([folder], { shardTokens: 400_000, validateEvery });
      let stops = 0;
      for (let calls = 0; ; calls++) {
        const stop = new AbortController();
        let reports = 0;
        try {
          await prepare({
            ...broken,
            signal: stop.signal,
            onProgress: ({ phase }) => {
              if (phase === 'encoding' && ++reports === 2) stop.abort();
            },
          });
          break;
        } catch (error) {
          if (!(error instanceof BraidError) || error.code !== 'interrupted') throw error;
          stops++;
          expect(readdirSync(broken.folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
          expect(() => finishedManifest(broken.folder)).toThrow(/not finished/);
        }
        expect(calls).toBeLessThan(50);
      }
      expect(stops).toBeGreaterThan(1);
      expect(contents(broken.folder)).toEqual(contents(whole.folder));
    }
  });

  it('that is done is not done again', async () => {
    const given = options([inputFile('a.txt', 'a\fb\fc\fd')]);
    await prepare(given);
    const before = contents(given.folder);
    expect((await prepare(given)).found).toBe(2);
    expect(contents(given.folder)).toEqual(before);
  });

  it('refuses a folder with other shards', async () => {
    const path = inputFile('a.txt', 'a\fb\fc\fd');
    const given = options([path]);
    await prepare(given);
    await expect(prepare({ ...given, validateEvery: 2 })).rejects.toThrow(
      /validateEvery was 3, but now it is 2/,
    );
    const manifest = readManifest(given.folder);
    const other = { ...manifest, tokenizer: { ...manifest?.tokenizer, name: 'x', identity: 'x' } };
    writeFileSync(join(given.folder, 'manifest.json'), JSON.stringify(other));
    await expect(prepare(given)).rejects.toThrow(/tokenizer 'x', not with this 'bytes'/);
    await prepare({ ...given, folder: `${given.folder}-2` });
    writeFileSync(path, 'another\ftext\f!\f');
    await expect(prepare({ ...given, folder: `${given.folder}-2` })).rejects.toThrow(
      /a\.txt' is another one now/,
    );
  });

  it('has its folder to itself, also after one that died there', async () => {
    const given = options([inputFile('a.txt', 'a\fb\fc\fd')]);
    const lock = join(given.folder, 'prepare.lock');
    mkdirSync(given.folder);
    writeFileSync(lock, `${process.ppid}\n`);
    await expect(prepare(given)).rejects.toThrow(
      /Another preparation \(process \d+\) is at work.*prepare\.lock/,
    );
    expect(readdirSync(given.folder)).toEqual(['prepare.lock']);
    const { pid } = spawnSync(process.execPath, ['--version']);
    writeFileSync(lock, `${pid}\n`);
    await prepare(given);
    expect(readdirSync(given.folder).sort()).toEqual([
      'manifest.json',
      'train-00000.tokens',
      'validation-00000.tokens',
    ]);
  });

  it('says what is wrong with its input, and where', async () => {
    const failing = async (name: string, content: string | Uint8Array, pattern: RegExp): Promise<void> => {
      await expect(prepare(options([inputFile(name, content)]))).rejects.toThrow(pattern);
    };
    await expect(prepare(options([join(root, 'nowhere')]))).rejects.toThrow(/nowhere' does not exist/);
    await failing('empty.txt', '\n\f\n', /no text in .*empty\.txt/);
    await failing('short.txt', 'a', /too short to keep every 3th part/);
    await failing('a.jsonl', '{"text":"x"}\n{"text":}\n', /a\.jsonl', line at byte 13: this is not JSON/);
    await failing('a.jsonl', '{"body":"x"}\n', /'text' is missing.*'body'.*--field/);
    await failing('a.jsonl', '{"text":7}\n', /'text' is a number, not text/);
    await failing(
      'a.txt.gz',
      gzipSync('x'.repeat(9999)).subarray(0, 30),
      /a\.txt\.gz' cannot be unpacked as gzip/,
    );
    await failing('a.txt.zst', 'nothing of the kind', /a\.txt\.zst' cannot be unpacked as zstd/);
    await failing('a.parquet', 'nothing of the kind', /a\.parquet' cannot be read as Parquet/);
    await failing('a.fasta', 'ACGT\n', /not FASTA/);
  });
});

describe('damage', () => {
  it('is found, and the shard named', async () => {
    const given = options([inputFile('a.txt', 'some text\fand more\fand the end\fof it')], {
      shardTokens: 4,
    });
    const { manifest } = await prepare(given);
    const damaged = (change: (bytes: Buffer) => Uint8Array): string => {
      const copy = fresh();
      cpSync(given.folder, copy, { recursive: true });
      const path = join(copy, 'train-00000.tokens');
      writeFileSync(path, change(readFileSync(path)));
      return copy;
    };
    const flipped = damaged((bytes) => Buffer.from(bytes.map((byte, at) => (at === 40 ? byte ^ 1 : byte))));
    expect(() => verifyShards(flipped, manifest)).toThrow(/train-00000\.tokens' is damaged: its checksum/);
    const cut = damaged((bytes) => bytes.subarray(0, -1));
    expect(() => openShards(cut, manifest, 'train')).toThrow(/train-00000\.tokens' has \d+ bytes/);
    const header = damaged((bytes) => Buffer.from(bytes.map((byte, at) => (at === 12 ? 4 : byte))));
    expect(() => openShards(header, manifest, 'train')).toThrow(/train-00000\.tokens' does not begin/);
    rmSync(join(cut, 'train-00000.tokens'));
    expect(() => verifyShards(cut, manifest)).toThrow(/Cannot read .*train-00000\.tokens/);
    writeFileSync(join(cut, 'manifest.json'), '{');
    expect(() => finishedManifest(cut)).toThrow(/manifest\.json' is damaged/);
    expect(() => finishedManifest(root)).toThrow(/holds no shards/);
  });
});
