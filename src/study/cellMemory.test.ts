import { expect, it } from 'vitest';
import { parseModelConfig } from '../models/index.ts';
import { evaluationProgram, freezeTrain, planRun, trainConfigSchema } from '../train/index.ts';
import { planCell } from './cellMemory.ts';

const model = parseModelConfig({
  pattern: 'attention+mlp',
  width: 16,
  vocabulary: 257,
  attention: { heads: 2 },
});

function frozen(validateEvery: number) {
  const train = trainConfigSchema.parse({
    steps: 5,
    length: 16,
    batch: 1,
    precision: 'float32',
    validateEvery,
  });
  return freezeTrain(train, { threads: 1, bfloat16: false });
}

it('counts the programs that measure and validate beside the training', () => {
  const training = planRun(model, frozen(0));
  const { lossChunk } = frozen(0);
  const arenaOf = (batch: number, length: number): number =>
    evaluationProgram(model, { batch, length, lossChunk, precision: 'float32', threads: 1 }).program
      .arenaBytes;
  // 4096 tokens at a time, in windows of 32.
  const measured = arenaOf(128, 32);
  expect(measured).toBeGreaterThan(training.arena);
  const alone = planCell(model, frozen(0), 32);
  expect(alone.arena - training.arena).toBe(measured);
  expect(alone.total - training.total).toBe(measured);
  expect(planCell(model, frozen(20), 32).total - alone.total).toBe(arenaOf(8, 16));
});
