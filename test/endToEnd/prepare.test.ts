/** Text to shards to a trained model by the command line, with threads, a sudden death and damage on the way. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBrown } from '../../src/data/brown.ts';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const tokenizer = fileURLToPath(new URL('../fixtures/tokenizers/gpt2.json', import.meta.url));
let folder = '';

beforeAll(() => {
  if (!existsSync(main)) throw new Error('dist/ is missing; first: npm run build');
  folder = mkdtempSync(join(tmpdir(), 'braid-prepare-'));
  const texts = readBrown();
  const lines = texts.map((text) => `${JSON.stringify({ body: text })}\n`).join('');
  writeFileSync(join(folder, 'brown.jsonl.gz'), gzipSync(lines));
  writeFileSync(join(folder, 'book.txt'), texts.slice(0, 5).join('\f'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function braid(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...args], { cwd: folder, encoding: 'utf8' });
}

const contents = (out: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(join(folder, out))
      .sort()
      .map((name) => [name, readFileSync(join(folder, out, name)).toString('base64')]),
  );

const shardsIn = (out: string): number =>
  existsSync(join(folder, out))
    ? readdirSync(join(folder, out)).filter((name) => name.endsWith('.tokens')).length
    : 0;

describe('prepare', () => {
  const args = ['brown.jsonl.gz', '--field', 'body', '--tokenizer', tokenizer, '--shard-tokens', '100000'];

  it('killed in the middle goes on and ends with the same bytes as in one go on one thread', async () => {
    const whole = braid('prepare', ...args, '--out', 'whole', '--threads', '1', '--json');
    expect(whole.stderr + whole.stdout).toContain('"encoder": "byte pairs"');
    expect(whole.status).toBe(0);
    expect(shardsIn('whole')).toBeGreaterThan(10);

    const killed = spawn(process.execPath, [main, 'prepare', ...args, '--out', 'killed', '--threads', '2'], {
      cwd: folder,
      stdio: 'ignore',
    });
    const ended = new Promise((done) => killed.on('close', done));
    while (shardsIn('killed') < 3 && killed.exitCode === null) await sleep(2);
    killed.kill('SIGKILL');
    await ended;
    expect(shardsIn('killed')).toBeLessThan(shardsIn('whole'));
    expect(braid('data', 'verify', 'killed').stderr).toMatch(/not finished/);
    const again = braid('prepare', ...args, '--out', 'killed', '--threads', '2', '--json');
    expect(again.status).toBe(0);
    expect(JSON.parse(again.stdout).shardsFoundBefore).toBeGreaterThan(1);
    expect(contents('killed')).toEqual(contents('whole'));
  });

  it('learns a tokenizer, and a run is trained on the shards, resumed, and kept to them', () => {
    const prepared = braid(
      'prepare',
      'book.txt',
      '--train-tokenizer',
      '400',
      '--validate-every',
      '5',
      '--out',
      'shards',
    );
    expect(prepared.stdout).toMatch(/training {4}4 documents.*\nvalidation {2}1 documents/);
    expect(prepared.status).toBe(0);
    const settings = [
      'train.batch=2',
      'train.length=32',
      'train.steps=4',
      'train.validateRows=2',
      'model.vocabulary=400',
    ];
    const data = 'data.shards=[{folder: shards, weight: 2}, {folder: shards, weight: 1}]';
    const begun = braid('train', 'llama-nano', '--out', 'run', data, ...settings, '--until', '2');
    expect(begun.stderr).not.toMatch(/braid:/);
    const resumed = braid('train', '--resume', 'run', '--json');
    expect(JSON.parse(resumed.stdout)).toMatchObject({ end: 'finished', step: 4 });
    const generated = braid('generate', 'run', '--prompt', 'The', '--tokens', '3');
    expect(generated.status).toBe(0);

    expect(braid('data', 'verify', 'shards').stdout).toMatch(/All 2 shards/);
    const path = join(folder, 'shards', 'train-00000.tokens');
    writeFileSync(path, Buffer.from(readFileSync(path).map((byte, at) => (at === 99 ? byte ^ 4 : byte))));
    for (const command of [
      ['data', 'verify', 'shards'],
      ['train', '--resume', 'run'],
    ]) {
      const { status, stderr } = braid(...command);
      expect(stderr).toMatch(/train-00000\.tokens' is damaged: its checksum/);
      expect(status).toBe(1);
    }
    writeFileSync(join(folder, 'shards', 'tokenizer.json'), readFileSync(tokenizer));
    expect(braid('generate', 'run', '--prompt', 'The').stderr).toMatch(
      /is not the one that the shards there were made with/,
    );
  });

  it.each([
    [['prepare', 'missing.txt', '--out', 'x'], /'missing\.txt' does not exist/],
    [['prepare', 'book.txt'], /required option '-o, --out <folder>'/],
    [
      ['prepare', 'book.txt', '--out', 'x', '--tokenizer', 'gpt'],
      /no tokenizer 'gpt'\. Known: 'bytes'.*tiktoken:NAME/,
    ],
    [
      ['prepare', 'book.txt', '--out', 'x', '--tokenizer', 'tiktoken:gpt9'],
      /no encoding 'gpt9'.*cl100k_base/,
    ],
    [
      ['prepare', 'book.txt', '--out', 'x', '--format', 'csv'],
      /Allowed choices are text, jsonl, parquet, fasta/,
    ],
    [['data', 'get', 'wikitext'], /no public set 'wikitext' here\. Did you mean 'wikitext-2'/],
    [['data', 'get', 'wikitext-2', '--endpoint', 'http://127.0.0.1:1'], /Is this machine online/],
    [['data', 'verify', '.'], /holds no shards/],
  ])('%j is one clear message', (args, message) => {
    const { status, stderr } = braid(...args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/unexpected error|\n\s+at /);
    expect(status).toBe(1);
    expect(existsSync(join(folder, 'x'))).toBe(false);
  });
});
