/**
 * Every preset of the size nano trains a step and generates; what it carries goes on in a copy, from a snapshot and from
 * a file as if nothing had happened.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GeneratingModel, Session } from '../../src/generate/index.ts';
import { createSession, defaultSampling, generate, loadState, saveState } from '../../src/generate/index.ts';
import { parseModelConfig } from '../../src/models/config.ts';
import { presets } from '../../src/models/presets/index.ts';
import { initialize } from '../../src/nn/index.ts';
import { createNativeExecutor, inspectNative } from '../../src/runtime/index.ts';
import { buildTraining, freeze, integerInput, numberInput, parseRunConfig } from '../../src/train/index.ts';

const native = inspectNative();
const nano = presets.filter(({ size }) => size === 'nano');
const length = 40;
const tokens = Array.from({ length }, (_, index) => (index * 73 + 11) % 256);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-nano-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Makes a model with its first weights, trains one step and returns it with its losses before and after. */
async function train(
  config: object,
): Promise<{ setup: GeneratingModel; losses: readonly number[]; stable: boolean }> {
  const run = parseRunConfig(
    { model: config, train: { length, batch: 1, steps: 2, precision: 'float32' } },
    'the test',
  );
  const frozen = freeze(run, { threads: 1, bfloat16: false, lanes: false });
  const model = parseModelConfig(run.model);
  const executor = createNativeExecutor({ threads: 1 });
  const store = executor.createStore();
  const { step, parameters, blocks } = buildTraining(model, frozen.train);
  for (const spec of parameters) {
    const { data } = store.tensor(`parameter/${spec.name}`, 'float32', spec.shape);
    if (data instanceof Float32Array) initialize(spec, 1, data);
  }
  const loaded = executor.load(step, store);
  const losses: number[] = [];
  for (const at of [1, 2]) {
    integerInput(loaded.inputs, 'ids').set(tokens);
    integerInput(loaded.inputs, 'targets').set([...tokens.slice(1), 256]);
    integerInput(loaded.inputs, 'positions').set(tokens.map((_, index) => index));
    integerInput(loaded.inputs, 'documents').fill(0);
    numberInput(loaded.inputs, 'weights').fill(1 / length);
    for (const [name, value] of Object.entries({ learningRate: 1e-3, step: at, maxNorm: 1 })) {
      numberInput(loaded.inputs, name)[0] = value;
    }
    await loaded.run({ check: true });
    losses.push(numberInput(loaded.outputs, 'loss')[0]);
  }
  loaded.dispose();
  const stable = blocks.every(({ strategy }) => strategy === undefined || strategy === 'chunks');
  return { setup: { model, precision: 'float32', threads: 1, executor, store }, losses, stable };
}

async function feed(session: Session, from: number, to: number): Promise<number[]> {
  return Array.from(await session.feed(tokens.slice(from, to)));
}

describe.skipIf(!native.available)('nano presets', () => {
  it.each(nano.map(({ name, config }) => [name, config] as const))('%s', async (name, config) => {
    const { setup, losses, stable } = await train(config);
    // Untrained, every one of 257 tokens is about as likely.
    expect(losses[0]).toBeGreaterThan(4);
    expect(losses[0]).toBeLessThan(7);
    expect(losses[1]).toBeLessThan(losses[0]);

    const session = createSession(setup, { recompute: !stable });
    const found: number[] = [];
    const sampling = { ...defaultSampling, seed: 1 };
    for await (const token of generate(session, tokens.slice(0, 5), { sampling, tokens: 3 }))
      found.push(token);
    expect(found).toHaveLength(3);

    const owner = { ...setup, tokenizer: 'bytes' };
    const path = join(folder, `${name}.safetensors`);
    const copy = createSession(setup, { recompute: !stable });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 9 }), async (cut, more) => {
        session.reset();
        await feed(session, 0, cut);
        const state = session.snapshot();
        await saveState(path, { state, pending: [] }, owner);
        const expected = await feed(session, cut, cut + more);
        copy.restore((await loadState(path, owner)).state);
        expect(await feed(copy, cut, cut + more)).toEqual(expected);
        session.restore(state);
        expect(await feed(session, cut, cut + more)).toEqual(expected);
      }),
      { numRuns: 2, seed: 1 },
    );
    setup.store.dispose();
  });
});
