/**
 * What attention can do and Mamba of the same width cannot yet, on tasks that a laptop learns in minutes. Run with
 * BRAID_SLOW=1; without it, learner.test.ts shows that learning works at all.
 */
import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../../models/config.ts';
import { createExecutor } from '../../runtime/index.ts';
import type { Learned } from './learn.ts';
import type { SyntheticRequest } from './plan.ts';
import { planSynthetic, runSynthetic } from './plan.ts';

const slow = process.env.BRAID_SLOW === '1';
const patience = 1_800_000;

const sections = {
  attention: { heads: 1, rope: {}, bias: true },
  local: { type: 'attention', window: 2, heads: 1, rope: {}, bias: true },
} as const;

async function learned(
  task: string,
  pattern: string,
  given: Readonly<Record<string, unknown>>,
  request: Partial<SyntheticRequest>,
): Promise<Learned> {
  const used = Object.entries(sections).filter(([name]) => pattern.includes(name));
  const config = (vocabulary: number) =>
    parseModelConfig({ pattern, vocabulary, ...given, ...Object.fromEntries(used) });
  const plan = planSynthetic(task, {
    models: [{ name: pattern, config }],
    warmup: 50,
    seeds: 1,
    rates: [0.003],
    precision: 'float32',
    executor: createExecutor('native', {}),
    ...request,
  });
  return runSynthetic(plan, plan.runs[0], {});
}

describe.skipIf(!slow)('two layers', () => {
  it(
    'of attention recall in context',
    async () => {
      const task = 'mad/in-context-recall';
      const model = { width: 64, initialDeviation: 0.1 };
      const { accuracy, seconds } = await learned(task, 'attention+mlp*2', model, { epochs: 8, batch: 32 });
      process.stderr.write(`in-context recall: attention ${accuracy} in ${seconds} s\n`);
      expect(accuracy).toBeGreaterThanOrEqual(0.95);
    },
    patience,
  );

  it(
    'of attention answer many queries, where as many of Mamba and of the same width fall short',
    async () => {
      const task = 'mqar:vocabulary=512,length=128,pairs=32,train=6400,test=320';
      const model = { width: 128, initialDeviation: 0.05 };
      const request = { epochs: 6, batch: 64 };
      const attention = await learned(task, 'local attention', model, request);
      const mamba = await learned(task, 'mamba1*2', model, request);
      process.stderr.write(
        `MQAR: attention ${attention.accuracy} in ${attention.seconds} s, Mamba ${mamba.best.accuracy} in ${mamba.seconds} s\n`,
      );
      expect(attention.accuracy).toBeGreaterThanOrEqual(0.95);
      expect(mamba.best.accuracy).toBeLessThan(attention.accuracy - 0.2);
    },
    patience,
  );
});
