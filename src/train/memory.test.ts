import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../models/config.ts';
import { checkMemory, planMemory } from './memory.ts';
import { buildTraining } from './program.ts';

const model = parseModelConfig({
  pattern: 'attention+mlp',
  width: 8,
  vocabulary: 32,
  attention: { heads: 2 },
  mlp: { width: 16 },
});
const common = { batch: 2, length: 8, lossChunk: 8, recompute: false, threads: 1, lanes: false } as const;
const adam = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1 };

describe('the memory of a training run', () => {
  it('is counted once for what programs share', () => {
    const { parameters, step } = buildTraining(model, {
      ...common,
      ...adam,
      accumulation: 1,
      precision: 'float32',
    });
    const count = parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const plan = planMemory([step]);
    expect(plan).toMatchObject({ weights: 4 * count, optimizer: 8 * count, gradients: 0, states: 0 });
    expect(plan.total).toBe(12 * count + step.arenaBytes);
    expect(planMemory([step, step]).total).toBe(plan.total + step.arenaBytes);
  });

  it('holds gradients with accumulation and copies of the weights in bfloat16', () => {
    const { parameters, shadows, step, update } = buildTraining(model, {
      ...common,
      ...adam,
      accumulation: 2,
      precision: 'bfloat16',
    });
    const size = (specs: typeof parameters): number =>
      specs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const plan = planMemory(update ? [step, update] : [step]);
    // One more gradient: the loss is added up too.
    expect(plan.gradients).toBe(4 * size(parameters) + 4);
    expect(plan.weights).toBe(4 * size(parameters) + 2 * size(shadows));
  });

  it('that does not fit is refused with its parts and what to do', () => {
    const parts = { weights: 2 ** 30, optimizer: 2 ** 31, gradients: 0, states: 0, arena: 2 ** 29 };
    const plan = { ...parts, total: 3.5 * 2 ** 30 };
    expect(() => checkMemory(plan, 'Use a smaller batch.', 4 * 2 ** 30)).not.toThrow();
    expect(() => checkMemory(plan, 'Use a smaller batch.', 3 * 2 ** 30)).toThrow(
      /3\.50 GiB.*weights 1\.00 GiB, optimizer 2\.00 GiB, activations.*3\.00 GiB are free. Use a smaller batch/,
    );
  });
});
