/** From a trained run to text, on both executors. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteTokenizer, packDocuments } from '../data/index.ts';
import { createExecutor, inspectNative } from '../runtime/index.ts';
import type { Precision, Run } from '../train/index.ts';
import { createRun, freeze, openRun, parseRunConfig, resume, Trainer, trainRun } from '../train/index.ts';
import { encodePrompt, generate } from './generate.ts';
import { loadModel } from './load.ts';
import { defaultSampling } from './sampler.ts';
import { createSession } from './session.ts';

const sentence = 'the quick brown fox jumps over the lazy dog. ';
const text = packDocuments([Buffer.from(sentence.repeat(40))], byteTokenizer);
const model = {
  pattern: '(attention+mlp | mamba1+mlp)*2',
  routing: { strategy: 'chunks', chunk: 8 },
  width: 32,
  vocabulary: 257,
  attention: { heads: 2, rope: {} },
  mamba1: { state: 4 },
  mlp: { width: 48 },
};

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-load-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function trained(executor: string, precision: Precision): Promise<Run> {
  const train = { length: 64, batch: 2, steps: 160, learningRate: 2e-2, threads: 1, executor, precision };
  const config = freeze(parseRunConfig({ model, train }, 'test'), { threads: 1, bfloat16: true });
  const run = await createRun(join(folder, `${executor} ${precision}`), config);
  const trainer = new Trainer({ ...config, executor: createExecutor(executor, { threads: 1 }), text });
  await resume(run, trainer, () => undefined);
  await trainRun(run, trainer);
  trainer.dispose();
  return openRun(run.folder);
}

async function continued(run: Run, recompute: boolean): Promise<string> {
  const executor = createExecutor(run.config.train.executor, { threads: 1 });
  const loaded = await loadModel(run, executor, (message) => expect.fail(message));
  expect(loaded.step).toBe(160);
  const session = createSession(loaded, { recompute });
  const prompt = encodePrompt(sentence.slice(0, 20), byteTokenizer);
  const found: number[] = [];
  const options = { sampling: { ...defaultSampling, temperature: 0 }, tokens: 60 };
  for await (const token of generate(session, prompt, options)) found.push(token);
  session.dispose();
  loaded.store.dispose();
  return Buffer.from(byteTokenizer.decode(found)).toString();
}

describe.skipIf(!inspectNative().available)('a run trained natively', () => {
  it.each(['float32', 'bfloat16'] as const)(
    'in %s continues its text, with states or without',
    async (precision) => {
      const run = await trained('native', precision);
      const found = await continued(run, false);
      // 'the ' is followed by 'quick' and by 'lazy' in the sentence: from there a tie may fall either way, and pieces and
      // whole sequences round BF16 in different places.
      const known = sentence.repeat(3).slice(20, 48);
      expect(found.slice(0, known.length)).toBe(known);
      const sure = precision === 'float32' ? found.length : known.length;
      expect((await continued(run, true)).slice(0, sure)).toBe(found.slice(0, sure));
    },
  );
});

describe('loading', () => {
  it('says when there is nothing to load', async () => {
    const train = { length: 8, batch: 1, steps: 1, threads: 1, executor: 'reference' };
    const config = freeze(parseRunConfig({ model, train }, 'test'), { threads: 1, bfloat16: false });
    const run = await createRun(join(folder, 'new'), config);
    const executor = createExecutor('reference');
    await expect(loadModel(run, executor, () => undefined)).rejects.toThrow(/has no checkpoint yet/);
  });
});
