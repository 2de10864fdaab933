import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finishedManifest, loadText, prepare, tokenizerOf } from '../data/index.ts';
import { createReferenceExecutor } from '../runtime/index.ts';
import type { FrozenRunConfig } from './config.ts';
import { freeze, parseRunConfig } from './config.ts';
import { resume, trainRun } from './loop.ts';
import type { Run } from './run.ts';
import { createRun, openRun } from './run.ts';
import { Trainer } from './trainer.ts';

let root = '';
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'braid-train-shards-'));
  for (const [name, words] of [
    ['verse', 'a rose is a rose '],
    ['genome', 'ACGTacgtNN@acgt'],
  ]) {
    const texts = Array.from({ length: 30 }, (_, index) => `${words}${index} ${words}`);
    writeFileSync(join(root, `${name}.txt`), texts.join('\f'));
    await prepare({
      inputs: [join(root, `${name}.txt`)],
      folder: join(root, name),
      tokenizer: 'bytes',
      validateEvery: 5,
      shardTokens: 300,
      threads: 0,
    });
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const model = { pattern: 'mlp', width: 8, vocabulary: 257, mlp: { width: 12 } };

function configOf(data: Readonly<Record<string, unknown>>): FrozenRunConfig {
  const train = {
    length: 12,
    batch: 3,
    steps: 9,
    learningRate: 1e-2,
    executor: 'reference',
    checkpointEvery: 0,
  };
  return freeze(parseRunConfig({ model, data, train }, 'test'), { threads: 1, bfloat16: false });
}

async function session(run: Run, until?: number): Promise<unknown> {
  const { data, train } = run.config;
  const text = loadText(data).train;
  const trainer = new Trainer({
    model: run.config.model,
    train,
    executor: createReferenceExecutor({}),
    text,
    data,
  });
  await resume(run, trainer, (message) => expect.fail(message));
  await trainRun(run, trainer, until === undefined ? {} : { until });
  const { parameters, optimizer } = trainer.persistent;
  return {
    figures: run.metrics.read().map(({ tokensPerSecond: _, seconds: __, ...rest }) => rest),
    tensors: [...parameters, ...optimizer].map(({ data: values }) => [...values]),
    loader: trainer.progress.loader,
  };
}

describe('training on shards', () => {
  it.each([
    ['one text', () => join(root, 'verse')],
    [
      'a mixture',
      () => [
        { folder: join(root, 'verse'), weight: 3 },
        { folder: join(root, 'genome'), weight: 1 },
      ],
    ],
  ])('of %s in one go equals training, stopping and resuming, bit for bit', async (name, shards) => {
    const data = { shards: shards(), documents: 'joined', weighting: 'dna' };
    const whole = await createRun(join(root, `${name} whole`), configOf(data));
    const expected = await session(whole);
    const parts = await createRun(join(root, `${name} parts`), configOf(data));
    await session(parts, 2);
    await session(openRun(parts.folder), 5);
    expect(await session(openRun(parts.folder))).toEqual(expected);
  });

  it('is told of a damaged shard by its name, and of one that was made with another tokenizer', () => {
    const copy = (name: string): string => {
      cpSync(join(root, 'verse'), join(root, name), { recursive: true });
      return join(root, name);
    };
    const damaged = copy('damaged');
    const path = join(damaged, 'train-00000.tokens');
    writeFileSync(path, Buffer.from(readFileSync(path).map((byte, at) => (at === 50 ? byte ^ 2 : byte))));
    expect(() => loadText(configOf({ shards: damaged }).data)).toThrow(/train-00000\.tokens' is damaged/);

    const foreign = copy('foreign');
    const manifest = finishedManifest(foreign);
    writeFileSync(
      join(foreign, 'manifest.json'),
      JSON.stringify({ ...manifest, tokenizer: { ...manifest.tokenizer, identity: 'another' } }),
    );
    expect(() => tokenizerOf({ tokenizer: 'shards', shards: foreign })).toThrow(
      /foreign' is not the one that the shards there were made with \(another, now bytes\)/,
    );
  });

  it('keeps to the tokenizer that the run began with', async () => {
    const run = await createRun(join(root, 'kept'), configOf({ shards: join(root, 'verse') }));
    const { data } = openRun(run.folder).config;
    expect(data.tokenizerIdentity).toBe('bytes');
    expect(() => loadText({ ...data, tokenizerIdentity: 'another' })).toThrow(
      /not the one that this run began with/,
    );
    expect(() => loadText({ ...data, tokenizer: 'none' })).toThrow(
      /were made with the tokenizer 'bytes', not with 'none'/,
    );
    expect(() => tokenizerOf({ tokenizer: 'shards' })).toThrow(/there are no shards/);
  });
});
