import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TokenStream } from '../data/index.ts';
import { byteTokenizer, packDocuments } from '../data/index.ts';
import { createReferenceExecutor } from '../runtime/index.ts';
import type { FrozenRunConfig } from './config.ts';
import { freeze, parseRunConfig } from './config.ts';
import { resume, trainRun } from './loop.ts';
import type { Run } from './run.ts';
import { createRun, openRun } from './run.ts';
import { Trainer } from './trainer.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-train-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const documents = Array.from({ length: 12 }, (_, index) =>
  Buffer.from(`document ${index} says that ${index} and ${index} make ${2 * index}. `.repeat(2)),
);
const text: TokenStream = packDocuments(documents, byteTokenizer);

const sections = {
  attention: { heads: 2, kvHeads: 1 },
  mamba1: { state: 2 },
  mlp: { width: 12 },
};
const models = {
  sequential: { pattern: '(mamba1+mlp attention+mlp)', width: 8, vocabulary: 257, ...sections },
  routed: {
    pattern: '(attention+mlp | mamba1+mlp)*2',
    width: 8,
    vocabulary: 257,
    ...sections,
    routing: { strategy: 'chunks', chunk: 3 },
  },
  experts: {
    pattern: 'mamba1+moe',
    width: 8,
    vocabulary: 257,
    mamba1: { state: 2 },
    moe: { experts: 3, chosen: 1, width: 8, router: 'sigmoid', shared: 4, balance: 0.1 },
  },
};

function configOf(model: unknown, train: Readonly<Record<string, unknown>> = {}): FrozenRunConfig {
  const defaults = {
    length: 12,
    batch: 2,
    steps: 6,
    learningRate: 1e-2,
    executor: 'reference',
    checkpointEvery: 0,
  };
  const config = parseRunConfig({ model, train: { ...defaults, ...train } }, 'test');
  return freeze(config, { threads: 1, bfloat16: false });
}

function trainerOf({ model, train }: FrozenRunConfig): Trainer {
  const executor = createReferenceExecutor(train.precision === 'float64' ? { precision: 'float64' } : {});
  return new Trainer({ model, train, executor, text });
}

/** Trains a run up to a step in a process of its own, as it were. */
async function session(run: Run, until?: number): Promise<Trainer> {
  const trainer = trainerOf(run.config);
  await resume(run, trainer, (message) => expect.fail(message));
  await trainRun(run, trainer, until === undefined ? {} : { until });
  return trainer;
}

/** All bytes that a run leaves behind in its tensors, and the figures that do not depend on the clock. */
function result(trainer: Trainer, run: Run) {
  const { parameters, optimizer } = trainer.persistent;
  const figures = run.metrics.read().map(({ tokensPerSecond: _, seconds: __, ...rest }) => rest);
  return {
    figures,
    tensors: [...parameters, ...optimizer].map(({ key, data }) => ({ key, values: [...data] })),
  };
}

describe.each(Object.entries(models))('training a %s model', (_, model) => {
  it('in one go equals training, stopping and resuming, bit for bit', async () => {
    const whole = await createRun(join(folder, 'whole'), configOf(model));
    const expected = result(await session(whole), whole);
    expect(expected.figures).toHaveLength(6);

    const parts = await createRun(join(folder, 'parts'), configOf(model));
    await session(parts, 2);
    await session(openRun(parts.folder), 3);
    expect(result(await session(openRun(parts.folder)), openRun(parts.folder))).toEqual(expected);
  });
});

describe('training', () => {
  it('lowers the loss on a small text', async () => {
    const run = await createRun(
      join(folder, 'run'),
      configOf(models.sequential, { steps: 25, learningRate: 3e-2 }),
    );
    await session(run);
    const losses = run.metrics.read().map(({ loss }) => loss);
    expect(losses[0]).toBeCloseTo(Math.log(257), 0);
    expect(losses.at(-1)).toBeLessThan(4);
  });

  it.each([
    ['sequential', models.sequential],
    ['experts', models.experts],
  ])('with accumulation equals one larger batch: %s', async (_, model) => {
    const train = { precision: 'float64', steps: 2 };
    const large = trainerOf(configOf(model, { ...train, batch: 4 }));
    const small = trainerOf(configOf(model, { ...train, batch: 1, accumulation: 4 }));
    for (const trainer of [large, small]) await trainer.initialize();
    for (let step = 0; step < 2; step++) {
      const [a, b] = [await large.step(), await small.step()];
      expect(b.loss).toBeCloseTo(a.loss, 10);
      expect(b.gradientNorm).toBeCloseTo(a.gradientNorm, 9);
      expect(b.flops).toBe(a.flops);
      expect(b.tokens).toBe(a.tokens);
    }
    large.persistent.parameters.forEach(({ data }, index) => {
      const other = small.persistent.parameters[index].data;
      expect(Math.max(...data.map((value, i) => Math.abs(value - other[i])))).toBeLessThan(1e-8);
    });
  });

  it.each([1, 3])('moves the balance of experts once per step, with %d parts', async (accumulation) => {
    const trainer = trainerOf(configOf(models.experts, { precision: 'float64', accumulation }));
    await trainer.initialize();
    const balance = trainer.persistent.parameters.find(({ key }) => key.endsWith('balance'))?.data ?? [];
    await trainer.step();
    expect(Math.max(...balance)).toBeCloseTo(0.1, 6);
    expect(Math.min(...balance)).toBeCloseTo(-0.1, 6);
    trainer.dispose();
  });

  it.each([
    ['routed', models.routed],
    // The choice of experts is made again, before their balance moves.
    ['experts', models.experts],
  ])('with recomputation gives the same figures: %s', async (_, model) => {
    const plain = trainerOf(configOf(model));
    const recomputing = trainerOf(configOf(model, { recompute: true }));
    for (const trainer of [plain, recomputing]) await trainer.initialize();
    for (let step = 0; step < 2; step++) {
      const [a, b] = [await plain.step(), await recomputing.step()];
      expect({ ...b, seconds: 0, tokensPerSecond: 0 }).toEqual({ ...a, seconds: 0, tokensPerSecond: 0 });
    }
    expect(recomputing.programs.step.calls.length).toBeGreaterThan(plain.programs.step.calls.length);
  });

  it('in bfloat16 comes close to float32 and keeps the copies of the weights', async () => {
    const exact = trainerOf(configOf(models.sequential, { precision: 'float32' }));
    const rounded = trainerOf(configOf(models.sequential, { precision: 'bfloat16' }));
    for (const trainer of [exact, rounded]) await trainer.initialize();
    for (let step = 0; step < 3; step++) {
      const [a, b] = [await exact.step(), await rounded.step()];
      expect(b.loss).toBeCloseTo(a.loss, 1);
      expect(b.loss).not.toBe(a.loss);
    }
    const { shadows } = rounded.programs;
    expect(shadows.length).toBeGreaterThan(5);
    for (const { name } of shadows) {
      const weights = rounded.store.find(`parameter/${name}`)?.data ?? [];
      const copies = rounded.store.find(`shadow/${name}`)?.data ?? [];
      expect(copies.length).toBe(weights.length);
      weights.forEach((weight, i) => {
        expect(Math.abs(copies[i] - weight)).toBeLessThanOrEqual(Math.abs(weight) / 256);
      });
    }
  });

  it('stops on a NaN with the layer at fault, keeps the weights and names the last checkpoint', async () => {
    const run = await createRun(join(folder, 'run'), configOf(models.sequential));
    const trainer = await session(run, 2);
    const [damaged] = trainer.persistent.parameters.filter(({ key }) =>
      /blocks\.1.*attention.*value/.test(key),
    );
    damaged.data[3] = Number.NaN;
    const before = result(trainer, run);
    await expect(trainRun(run, trainer)).rejects.toThrow(
      /Step 3 diverged.*matmul in blocks\.1\S*attention\S*.*step 2, '.*step-00000002'.*learningRate/,
    );
    expect(result(trainer, run)).toEqual(before);
    expect(trainer.progress.step).toBe(2);
  });

  it('stops when told, saves, and goes on', async () => {
    const run = await createRun(join(folder, 'run'), configOf(models.sequential));
    const trainer = trainerOf(run.config);
    await resume(run, trainer, () => undefined);
    const controller = new AbortController();
    const outcome = await trainRun(run, trainer, {
      signal: controller.signal,
      onStep: ({ step }) => step === 2 && controller.abort(),
    });
    expect(outcome).toMatchObject({ end: 'interrupted', step: 2 });
    expect((await trainRun(run, trainer)).end).toBe('finished');
    expect(run.metrics.read().map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('saves when it is due and at the end', async () => {
    const train = { steps: 5, checkpointEvery: 2, keep: 3 };
    const quiet = await createRun(join(folder, 'quiet'), configOf(models.sequential, train));
    await session(quiet);
    expect(quiet.checkpoints.list().map(({ step }) => step)).toEqual([5, 4, 2]);
    const told = await createRun(join(folder, 'told'), configOf(models.sequential, train));
    const trainer = trainerOf(told.config);
    const saved: number[] = [];
    await trainer.initialize();
    await trainRun(told, trainer, { onCheckpoint: ({ step }) => saved.push(step) });
    expect(saved).toEqual([2, 4, 5]);
  });

  it('validates when it is due and at the end', async () => {
    const run = await createRun(join(folder, 'run'), configOf(models.sequential, { validateEvery: 4 }));
    const trainer = trainerOf(run.config);
    await trainer.initialize();
    await trainRun(run, trainer, { validate: async () => ({ loss: 1, bitsPerByte: 2 }) });
    const steps = run.metrics.read().filter(({ validation }) => validation !== undefined);
    expect(steps.map(({ step }) => step)).toEqual([4, 6]);
  });

  it('begins with weights from elsewhere as with its own, and with any text', async () => {
    const config = configOf(models.sequential);
    const own = trainerOf(config);
    await own.initialize();
    const run = await createRun(join(folder, 'imported'), config);
    const { parameters } = own.persistent;
    await run.checkpoints.save({ ...own.progress, text: '' }, { parameters }, 2);
    const trainer = trainerOf(config);
    expect(await resume(run, trainer, () => undefined)).toBe(0);
    const losses = [(await own.step()).loss, (await own.step()).loss];
    expect([(await trainer.step()).loss, (await trainer.step()).loss]).toEqual(losses);
    expect(trainer.progress.text).toBe(own.progress.text);
  });

  it('refuses another text, and a folder that holds a run', async () => {
    const run = await createRun(join(folder, 'run'), configOf(models.sequential));
    await session(run, 1);
    await expect(createRun(run.folder, run.config)).rejects.toThrow(/already holds a run/);
    expect(() => openRun(folder)).toThrow(/not the folder of a run/);
    const other = packDocuments(documents.slice(1), byteTokenizer);
    const { model, train } = run.config;
    const trainer = new Trainer({ model, train, executor: createReferenceExecutor(), text: other });
    await expect(resume(run, trainer, () => undefined)).rejects.toThrow(/training text is not the one/);
    expect(readFileSync(join(run.folder, 'config.yaml'), 'utf8')).toMatch(/steps: 6/);
  });
});
