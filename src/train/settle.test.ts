import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findPreset } from '../models/presets/index.ts';
import { createNativeExecutor, inspectNative } from '../runtime/native.ts';
import { branchTimes } from './branchTimes.ts';
import { freeze, parseRunConfig, type RunConfig } from './config.ts';
import { needsMeasuredBalance } from './measuredBalance.ts';
import { settle } from './settle.ts';
import { openTimedStep } from './timing.ts';
import { Trainer } from './trainer.ts';

const folder = mkdtempSync(join(tmpdir(), 'braid-settle-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const machine = { threads: 2, bfloat16: false };

function config(preset: string, routing: object | undefined, train: object): RunConfig {
  const { config: model } = findPreset(preset);
  const settings = { steps: 1, batch: 1, length: 32, threads: 2, ...train };
  return parseRunConfig({ model: routing ? { ...model, routing } : model, train: settings }, 'test');
}

describe('what is left to measurement', () => {
  it('is found only where a share is solved and not given', () => {
    const needs = (strategy: string, more: object = {}) =>
      needsMeasuredBalance(config('flowhn-fac-nano', { strategy, balance: 'time', ...more }, {}).model);
    expect(needs('fac')).toBe(true);
    expect(needs('fac', { ratio: 0.4 })).toBe(false);
    expect(needs('fac', { balance: 'flops' })).toBe(false);
    expect(needs('chunks')).toBe(false);
  });

  it('is not frozen by guessing', () => {
    expect(() => freeze(config('llama-nano', undefined, { lanes: 'auto' }), machine)).toThrow(
      /takes a measurement/,
    );
  });
});

describe.skipIf(!inspectNative().available)('measuring', () => {
  const executor = createNativeExecutor({ threads: 2 });

  it('freezes a share and remembers it', async () => {
    const told: string[] = [];
    const options = {
      executor,
      machine,
      cache: join(folder, 'a', 'b'),
      tell: (text: string) => told.push(text),
    };
    const open = config('flowhn-fac-nano', { strategy: 'fac', balance: 'time' }, { lanes: true });
    const first = await settle(open, options);
    const ratio = Number(first.model.routing?.ratio);
    expect(ratio).toBeGreaterThan(0);
    expect(ratio).toBeLessThan(1);
    expect(told[0]).toMatch(/Balance by time: [\d.]+ % of 32 tokens/);
    const again = await settle(open, options);
    expect(again.model.routing?.ratio).toBe(ratio);
    expect(told).toHaveLength(2);

    // A damaged file is measured again.
    const [file] = readdirSync(options.cache);
    writeFileSync(join(options.cache, file), '{');
    await settle(open, options);
    expect(JSON.parse(readFileSync(join(options.cache, file), 'utf8'))).toHaveProperty('ratio');
  });

  it('chooses lanes, and leaves them off where there are none', async () => {
    const told: string[] = [];
    const options = {
      executor,
      machine,
      cache: join(folder, 'lanes'),
      tell: (text: string) => told.push(text),
    };
    const none = await settle(config('llama-nano', undefined, { lanes: 'auto' }), options);
    expect(none.train.lanes).toBe(false);
    expect(told[0]).toMatch(/no block has branches/);
    const some = await settle(config('flowhn-none-nano', undefined, { lanes: 'auto' }), options);
    expect(typeof some.train.lanes).toBe('boolean');
    expect(told[1]).toMatch(/measured: [\d.]+ ms a step in lanes/);
  });

  it('times every branch, in lanes and without', async () => {
    for (const lanes of [true, false]) {
      const { model, train } = freeze(config('flowhn-none-nano', undefined, { lanes }), machine);
      const step = openTimedStep(model, train, executor);
      const statistics = await step.run();
      for (const block of step.programs.blocks) {
        const times = branchTimes(step.programs.step, statistics, block);
        expect(times).toHaveLength(2);
        for (const seconds of times) expect(seconds).toBeGreaterThan(0);
        expect(times[0] + times[1]).toBeLessThan((lanes ? 2 : 1) * statistics.seconds);
      }
      step.dispose();
    }
  });

  it('comes before a run: training refuses a share that was not measured', () => {
    const open = config('flowhn-fac-nano', { strategy: 'fac', balance: 'time' }, {});
    const { model, train } = freeze(open, machine);
    const text = { tokens: new Int32Array(100), starts: Int32Array.of(0), bytes: 100 };
    expect(() => new Trainer({ model, train, executor, text: text as never })).toThrow(/was not measured/);
  });
});
