import { validationSettings } from '../bench/session.ts';
import type { ModelConfig } from '../models/index.ts';
import type { FrozenTrainConfig, MemoryPlan } from '../train/index.ts';
import { evaluationProgram, planRun } from '../train/index.ts';
import { measuringSettings } from './documentLosses.ts';

/**
 * What a cell holds at most, in bytes: its training, and beside it the programs that validate and measure it, whose arenas
 * are there while that of training is. `length`: of the windows it is measured on.
 */
export function planCell(model: ModelConfig, train: FrozenTrainConfig, length: number): MemoryPlan {
  const training = planRun(model, train);
  const beside = [
    measuringSettings(train, length),
    ...(train.validateEvery > 0 ? [validationSettings(train)] : []),
  ];
  const more = beside.reduce(
    (sum, settings) => sum + evaluationProgram(model, settings).program.arenaBytes,
    0,
  );
  return { ...training, arena: training.arena + more, total: training.total + more };
}
