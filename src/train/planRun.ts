import type { ModelConfig } from '../models/config.ts';
import type { MemoryPlan } from './memory.ts';
import { planMemory } from './memory.ts';
import type { ProgramConfig } from './program.ts';
import { buildTraining } from './program.ts';

/** What training a model will take. Compiles its programs, allocates nothing. */
export function planRun(model: ModelConfig, train: ProgramConfig): MemoryPlan {
  const { step, update } = buildTraining(model, train);
  return planMemory(update ? [step, update] : [step]);
}
