import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../../models/config.ts';
import { createExecutor, createReferenceExecutor, inspectNative } from '../../runtime/index.ts';
import { costOf, learn } from './learn.ts';
import { Learner } from './learner.ts';
import { costOfPlan, planSynthetic, runKey, runSynthetic, summarize } from './plan.ts';
import { syntheticTask } from './registry.ts';

const native = inspectNative().available;
const executor = native ? createExecutor('native', { threads: 2 }) : createReferenceExecutor();
const shared = { precision: 'float32', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clip: 1 } as const;

function config(vocabulary: number, pattern = 'mamba1+mlp') {
  return parseModelConfig({
    pattern,
    width: 16,
    vocabulary,
    ...(pattern.includes('mlp') ? { mlp: { width: 16 } } : {}),
  });
}

function learnerOf(name: string, pattern?: string): Learner {
  const task = syntheticTask(name);
  const options = { ...shared, batch: 16, decay: 0, seed: 1, threads: executor.threads };
  return new Learner(task, config(task.vocabulary, pattern), options, executor);
}

describe('a model that learns', () => {
  it('knows a small map by heart, stops when it does, and can do so again from the beginning', async () => {
    const learner = learnerOf('mad/memorization:vocabulary=16,length=8,train=64,test=32');
    const shown: number[] = [];
    const options = { epochs: 60, rate: 0.02, warmup: 0, stop: 0.99 };
    const learned = await learn(learner, { ...options, onStep: ({ step }) => shown.push(step) });
    expect(learned.accuracy).toBeGreaterThanOrEqual(0.99);
    expect(learned).toMatchObject({ stopped: true, steps: shown.length });
    expect(learned.steps).toBeLessThan(60 * learner.stepsPerEpoch);
    const again = await learn(learner, options);
    expect({ ...again, seconds: 0 }).toEqual({ ...learned, seconds: 0 });
    learner.dispose();
  });

  it('begins as one that guesses', async () => {
    const learner = learnerOf('mad/in-context-recall:length=16,test=64');
    await learner.reset();
    const { accuracy, macro, positions } = await learner.test();
    expect(accuracy).toBeLessThan(0.5);
    expect(macro).toBeLessThan(0.5);
    // A key can be known from the second pair on; a row of fifteen tokens has eight parts of two, the last of one.
    expect(positions.map(({ begin, end }) => [begin, end])).toEqual(
      [2, 4, 6, 8, 10, 12, 14].map((at) => [at, Math.min(at + 2, 15)]),
    );
    learner.dispose();
  });

  it('says a row again from its last token', async () => {
    const learner = learnerOf('mad/compression:vocabulary=4,length=3,train=64,test=32');
    await learner.reset();
    const { accuracy: before } = await learner.test();
    for (let step = 0; step < 120; step++) await learner.step(0.01);
    const { accuracy: after } = await learner.test();
    expect(before).toBeLessThan(0.7);
    expect(after).toBeGreaterThan(0.9);
    learner.dispose();
  });

  it('is tested by depth and at other lengths', async () => {
    const learner = learnerOf('needle:length=16,train=32,test=20');
    await learner.reset();
    const { groups, positions, accuracy } = await learner.test();
    expect(Object.keys(groups).length).toBe(10);
    // The needle is asked for at the last place only.
    expect(positions).toEqual([{ begin: 14, end: 16, accuracy }]);
    const longer = await learner.testOn(syntheticTask('needle:length=32,test=20'));
    expect(Object.keys(longer.groups)).toContain('depth 90 to 100 %');
    learner.dispose();
  });

  it('says what it will cost, and has learned nothing from it', async () => {
    const learner = learnerOf('mad/memorization:vocabulary=16,length=8,train=64,test=32');
    const cost = await costOf(learner, 5);
    expect(cost).toMatchObject({ steps: 20 });
    expect(cost.flops).toBe(20 * learner.programs.flopsPerStep);
    expect(cost.seconds).toBeGreaterThan(0);
    const fresh = learnerOf('mad/memorization:vocabulary=16,length=8,train=64,test=32');
    await fresh.reset();
    expect(await learner.step(0.01)).toBe(await fresh.step(0.01));
    learner.dispose();
    fresh.dispose();
  });
});

describe('a plan', () => {
  const models = ['mamba1', 'mlp'].map((name) => ({
    name,
    config: (vocabulary: number) => config(vocabulary, name),
  }));
  const request = { models, warmup: 0, seeds: 1, precision: 'float32', executor } as const;

  it('says what all its runs cost before any is done', async () => {
    const plan = planSynthetic('mad', { ...request, models: [models[0]] });
    const { steps, flops, seconds } = await costOfPlan(plan);
    const perEpoch = plan.runs.map(({ task, batch }) => Math.floor(task.trainRows / batch));
    expect(steps).toBe(200 * perEpoch.reduce((sum, count) => sum + count, 0));
    expect(flops).toBeGreaterThan(steps * 1e6);
    expect(seconds).toBeGreaterThan(0);
  });

  it('of a task has a run for every model, rate, decay and seed, each with its own key', () => {
    const plan = planSynthetic('mqar:length=16,pairs=2', {
      ...request,
      rates: [0.1, 0.2],
      decays: [0, 0.1],
      seeds: 3,
    });
    expect(plan.runs.length).toBe(24);
    expect(new Set(plan.runs.map((run) => runKey(run, plan))).size).toBe(24);
    expect(plan.runs[0].batch).toBe(64);
  });

  it('of a protocol takes its training and gives a score', async () => {
    const plan = planSynthetic('mad', request);
    expect(plan).toMatchObject({ epochs: 200, stop: 0.999, protocol: true });
    expect(plan.runs.length).toBe(2 * 396);
    const result = await runSynthetic(
      planSynthetic('mad/memorization:vocabulary=8,length=4,train=16,test=16', { ...request, epochs: 1 }),
      {
        ...plan.runs[0],
        task: syntheticTask('mad/memorization:vocabulary=8,length=4,train=16,test=16'),
        config: config(8),
        batch: 8,
      },
      {},
    );
    const kept = new Map([0, 1].map((run) => [runKey(plan.runs[run], plan), { ...result, macro: run / 2 }]));
    expect(summarize(plan, kept).protocol).toEqual([
      { model: 'mamba1', tasks: { 'mad/in-context-recall': 0.5 }, score: 0.5 },
    ]);
  });
});
