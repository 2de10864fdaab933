import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseModelConfig } from '../models/index.ts';
import { dataConfigSchema, trainConfigSchema } from '../train/index.ts';
import type { ComparisonOptions, OpenDesign } from './run.ts';
import { runComparison } from './run.ts';

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-study-'));
  const line = 'the quick brown fox jumps over the lazy dog and the dog sleeps on.\n';
  writeFileSync(join(folder, 'text.txt'), Array.from({ length: 40 }, (_, i) => line.slice(i % 7)).join('\f'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const shape = { width: 8, vocabulary: 257, attention: { heads: 2, kvHeads: 1 }, mlp: { width: 16 } };

function design(changes: Partial<OpenDesign> = {}): OpenDesign {
  return {
    rows: [
      { name: 'one layer', model: parseModelConfig({ pattern: 'attention+mlp', ...shape }) },
      { name: 'two layers', model: parseModelConfig({ pattern: 'attention+mlp*2', ...shape }) },
    ],
    equal: 'tokens',
    seeds: [1, 2],
    rates: { kind: 'fixed' },
    amount: { steps: 3 },
    data: dataConfigSchema.parse({ text: [join(folder, 'text.txt')], validateEvery: 4 }),
    train: trainConfigSchema.parse({
      executor: 'reference',
      precision: 'float32',
      steps: 3,
      batch: 1,
      length: 16,
      learningRate: 0.01,
      checkpointEvery: 0,
    }),
    ...changes,
  };
}

function run(open: OpenDesign, name: string, more: Partial<ComparisonOptions> = {}) {
  return runComparison(open, { name, folder: join(folder, name), warn: () => {}, ...more });
}

describe('runComparison', () => {
  it('trains every model with every seed and says how sure the figures are', async () => {
    const result = await run(design(), 'plain');
    expect(readdirSync(join(folder, 'plain')).sort()).toEqual([
      'jobs.json',
      'one-layer-seed-1',
      'one-layer-seed-2',
      'two-layers-seed-1',
      'two-layers-seed-2',
    ]);
    for (const row of result.rows) {
      expect(row.tokensSeen).toBe(48);
      const seeds = row.seeds.map(({ bitsPerByte }) => bitsPerByte);
      expect(row.bitsPerByte.value).toBeCloseTo((seeds[0] + seeds[1]) / 2, 10);
      expect(row.bitsPerByte.low).toBeLessThan(row.bitsPerByte.value);
      expect(row.contexts.map(({ from, to }) => [from, to])).toEqual([
        [0, 1],
        [1, 2],
        [2, 4],
        [4, 8],
        [8, 16],
      ]);
    }
    expect(result.rows[0].bitsPerByte.value).toBeLessThanOrEqual(result.rows[1].bitsPerByte.value);
    expect(result.pairs).toHaveLength(1);
  });

  it('goes on where it was stopped, to the same figures', async () => {
    const whole = await run(design(), 'whole');
    const stop = new AbortController();
    const stopped = run(design(), 'stopped', {
      signal: stop.signal,
      onStep: ({ row, seed }, { step }) => {
        if (row === 'two layers' && seed === 1 && step === 2) stop.abort();
      },
    });
    await expect(stopped).rejects.toThrow(/two-layers-seed-1.*step 2.*goes on from there/);
    const steps: string[] = [];
    const resumed = await run(design(), 'stopped', {
      onStep: (cell, { step }) => steps.push(`${cell.folder} ${step}`),
    });
    expect(steps[0]).toBe('two-layers-seed-1 3');
    const figures = ({ rows }: typeof whole) =>
      rows.map(({ bitsPerByte, seeds }) => ({ bitsPerByte, seeds }));
    expect(figures(resumed)).toEqual(figures(whole));
  });

  it('refuses to mix with a comparison of other settings', async () => {
    await run(design({ seeds: [1] }), 'mixed');
    const other = run(design({ seeds: [1], amount: { steps: 4 } }), 'mixed');
    await expect(other).rejects.toThrow(/holds a run with other settings/);
  });

  it('refuses another text, whose figures those of a finished comparison are not', async () => {
    await run(design({ seeds: [1] }), 'text');
    writeFileSync(join(folder, 'other.txt'), 'pack my box with five dozen liquor jugs.\f'.repeat(60));
    const data = dataConfigSchema.parse({ text: [join(folder, 'other.txt')], validateEvery: 4 });
    await expect(run(design({ seeds: [1], data }), 'text')).rejects.toThrow(/training text is not the one/);
  });

  it('measures again what is asked for in another way', async () => {
    await run(design({ seeds: [1] }), 'again');
    const { rows } = await run(design({ seeds: [1] }), 'again', { measuring: { length: 32 } });
    expect(rows[0].contexts.at(-1)?.to).toBe(32);
  });

  it('chooses a learning rate on documents that are not reported', async () => {
    const result = await run(design({ rates: { kind: 'grid', rates: [1e-9, 0.03] } }), 'grid');
    for (const { learningRate } of result.rows) expect(learningRate).toBe(0.03);
    expect(readdirSync(join(folder, 'grid')).filter((name) => name.includes('seed'))).toHaveLength(6);
  });

  it('refuses a budget that would go into measuring, before it measures, and says what it takes', async () => {
    const refused = run(design({ amount: { budget: 0.001 } }), 'poor');
    await expect(refused).rejects.toThrow(/step times of 2 models takes about .* Give it .* or more/);
    expect(readdirSync(join(folder, 'poor'))).toEqual(['jobs.json']);
  });

  it('stops between the measurements that tell what several at a time gain, and keeps nothing', async () => {
    const stop = new AbortController();
    stop.abort();
    const stopped = run(design({ amount: { budget: 600 } }), 'unmeasured', { jobs: 2, signal: stop.signal });
    await expect(stopped).rejects.toThrow(/Stopped while step times were measured/);
    expect(readdirSync(join(folder, 'unmeasured'))).toEqual([]);
  });

  it('validates while it trains where that is asked for', async () => {
    const { train } = design();
    const asked = { ...train, validateEvery: 2, validateRows: 2 };
    const { rows } = await run(design({ seeds: [1], train: asked }), 'validated');
    for (const { validations } of rows) {
      expect(validations.map(({ step, tokens }) => [step, tokens])).toEqual([
        [2, 32],
        [3, 48],
      ]);
      for (const { bitsPerByte } of validations) expect(bitsPerByte).toBeGreaterThan(0);
    }
    const plain = await run(design({ seeds: [1] }), 'unvalidated');
    expect(plain.rows[0].validations).toEqual([]);
    expect(plain.rows.map(({ bitsPerByte }) => bitsPerByte)).toEqual(rows.map((row) => row.bitsPerByte));
  });

  it('goes on with a comparison of before it knew of several runs at a time', async () => {
    const whole = await run(design({ seeds: [1] }), 'old');
    rmSync(join(folder, 'old', 'jobs.json'));
    rmSync(join(folder, 'old', 'two-layers-seed-1'), { recursive: true });
    const { rows } = await run(design({ seeds: [1] }), 'old');
    expect(rows.map(({ bitsPerByte }) => bitsPerByte)).toEqual(whole.rows.map((row) => row.bitsPerByte));
  });
});
