/** Training on the native executor: the same bits after a stop, and the figures of the reference. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteTokenizer, packDocuments } from '../data/index.ts';
import { createExecutor, inspectNative } from '../runtime/index.ts';
import type { FrozenRunConfig } from './config.ts';
import { freeze, parseRunConfig } from './config.ts';
import { resume, trainRun } from './loop.ts';
import { createRun, openRun } from './run.ts';
import { Trainer } from './trainer.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-native-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const text = packDocuments(
  Array.from({ length: 40 }, (_, index) =>
    Buffer.from(`${index} and ${index} make ${2 * index}. `.repeat(4)),
  ),
  byteTokenizer,
);
const sections = {
  width: 32,
  vocabulary: 257,
  attention: { heads: 4, kvHeads: 2 },
  mamba1: { state: 4 },
  mlp: { width: 48 },
};
const sequential = { pattern: '(mamba1+mlp attention+mlp)', ...sections };
const routed = {
  pattern: '(attention+mlp | mamba1+mlp)*2',
  routing: { strategy: 'chunks', chunk: 8 },
  ...sections,
};

function configOf(model: unknown, train: Readonly<Record<string, unknown>>): FrozenRunConfig {
  const defaults = { length: 40, batch: 2, steps: 40, learningRate: 1e-2, threads: 1, checkpointEvery: 0 };
  const config = parseRunConfig({ model, train: { ...defaults, ...train } }, 'test');
  return freeze(config, { threads: 1, bfloat16: true });
}

async function train(name: string, config: FrozenRunConfig, stops: readonly number[]) {
  await createRun(join(folder, name), config);
  let tensors: { key: string; values: number[] }[] = [];
  for (const until of stops) {
    const run = openRun(join(folder, name));
    const executor = createExecutor(config.train.executor, { threads: config.train.threads });
    const trainer = new Trainer({ ...run.config, executor, text });
    await resume(run, trainer, (message) => expect.fail(message));
    await trainRun(run, trainer, { until });
    const { parameters, optimizer } = trainer.persistent;
    tensors = [...parameters, ...optimizer].map(({ key, data }) => ({ key, values: Array.from(data) }));
    trainer.dispose();
  }
  const losses = openRun(join(folder, name))
    .metrics.read()
    .map(({ loss }) => loss);
  return { losses, tensors };
}

describe.skipIf(!inspectNative().available)('native training', () => {
  it.each([
    ['sequential', sequential, 'bfloat16', 1],
    ['routed', routed, 'bfloat16', 1],
    ['routed in two threads', routed, 'float32', 2],
  ] as const)('of a %s model repeats its bits after a stop', async (name, model, precision, threads) => {
    const config = configOf(model, { precision, threads });
    const whole = await train(`${name} whole`, config, [40]);
    expect(await train(`${name} parts`, config, [20, 40])).toEqual(whole);
    expect(whole.losses).toHaveLength(40);
    expect(whole.losses[39]).toBeLessThan(whole.losses[0] - 1);
  });

  it('follows the reference', async () => {
    const native = await train('native', configOf(routed, { precision: 'float32' }), [6]);
    const reference = await train(
      'reference',
      configOf(routed, { precision: 'float32', executor: 'reference' }),
      [6],
    );
    native.losses.forEach((loss, step) => {
      expect(loss).toBeCloseTo(reference.losses[step], 3);
    });
  });
});
