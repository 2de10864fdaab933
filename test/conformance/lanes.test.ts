/**
 * Law: a schedule changes no value. A training step with its branches side by side, with recomputed activations, or both
 * gives what the plain step gives, on every executor.
 */
import { describe, expect, it } from 'vitest';
import { elementCount } from '../../src/graph/index.ts';
import { parseModelConfig } from '../../src/models/config.ts';
import { initialize } from '../../src/nn/index.ts';
import type { Executor } from '../../src/runtime/index.ts';
import { createNativeExecutor, createReferenceExecutor, inspectNative } from '../../src/runtime/index.ts';
import { buildTraining } from '../../src/train/program.ts';

const THREADS = 3;
const native = inspectNative();

const models = {
  parallel: { pattern: '(attention+mlp & mamba1+mlp)*2' },
  'parallel, bare mixers': { pattern: '(attention & mamba1)+mlp*2' },
  routed: { pattern: '(attention+mlp | mamba1+mlp)*2', routing: { strategy: 'chunks', chunk: 3 } },
  halves: { pattern: '(attention+mlp | mamba1+mlp)*2', routing: { strategy: 'ae' } },
};

interface Schedule {
  readonly lanes: boolean;
  readonly recompute: boolean;
}

interface Figures {
  readonly groups: number;
  readonly values: Readonly<Record<string, readonly number[]>>;
}

/** Loss, norm and all parameters after two training steps. */
async function train(model: object, executor: Executor, schedule: Schedule): Promise<Figures> {
  const config = parseModelConfig({
    width: 8,
    vocabulary: 31,
    attention: { heads: 2, kvHeads: 1 },
    mlp: { width: 12 },
    ...model,
  });
  const { step, parameters } = buildTraining(config, {
    batch: 2,
    length: 12,
    accumulation: 1,
    lossChunk: 8,
    precision: 'float32',
    threads: THREADS,
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-8,
    decay: 0.1,
    ...schedule,
  });
  const store = executor.createStore();
  const stored = parameters.map((spec) => {
    const { data } = store.tensor(`parameter/${spec.name}`, 'float32', spec.shape);
    const start = new Float32Array(elementCount(spec.shape));
    initialize(spec, 7, start);
    data.set(start);
    return { name: spec.name, data };
  });
  const loaded = executor.load(step, store);
  const input: Readonly<Record<string, (i: number) => number>> = {
    ids: (i) => (i * 7) % 31,
    targets: (i) => (i * 11 + 3) % 31,
    positions: (i) => i % 12,
    documents: (i) => (i % 12 < 5 ? 0 : 5),
    weights: () => 1 / 24,
    learningRate: () => 1e-3,
    maxNorm: () => 1,
  };
  const values: Record<string, readonly number[]> = {};
  let groups = 0;
  for (const number of [1, 2]) {
    for (const [name, target] of loaded.inputs) {
      target.set(Array.from(target, (_, i) => (name === 'step' ? number : input[name](i))));
    }
    const statistics = await loaded.run();
    groups = statistics.lanes.length;
    for (const [name, output] of loaded.outputs) values[`${name} ${number}`] = Array.from(output);
  }
  for (const { name, data } of stored) values[name] = Array.from(data);
  loaded.dispose();
  return { groups, values };
}

const plain: Schedule = { lanes: false, recompute: false };
const others: readonly Schedule[] = [
  { lanes: true, recompute: false },
  { lanes: false, recompute: true },
  { lanes: true, recompute: true },
];

describe('a schedule changes no value', () => {
  it.each(Object.entries(models))('%s, reference', async (_, model) => {
    const executor = createReferenceExecutor();
    const expected = await train(model, executor, plain);
    expect(expected.groups).toBe(0);
    for (const schedule of others) {
      const found = await train(model, executor, schedule);
      expect(found.values, JSON.stringify(schedule)).toEqual(expected.values);
      expect(found.groups > 0).toBe(schedule.lanes);
    }
  });

  it.skipIf(!native.available).each(Object.entries(models))('%s, native', async (_, model) => {
    const expected = await train(model, createReferenceExecutor(), plain);
    // Watching memory keeps lanes from running at the same time: both ways are of interest.
    const watched = createNativeExecutor({ threads: THREADS, checkMemory: true });
    const free = createNativeExecutor({ threads: THREADS });
    const first = await train(model, watched, plain);
    for (const [name, values] of Object.entries(expected.values)) {
      const largest = Math.max(...values.map(Math.abs));
      values.forEach((value, i) => {
        expect(Math.abs(first.values[name][i] - value) / largest, `${name}[${i}]`).toBeLessThan(1e-3);
      });
    }
    for (const schedule of [plain, ...others]) {
      for (const executor of [watched, free, free, free]) {
        const found = await train(model, executor, schedule);
        expect(found.values, `the same bits, ${JSON.stringify(schedule)}`).toEqual(first.values);
        expect(found.groups > 0).toBe(schedule.lanes);
      }
    }
  });
});
