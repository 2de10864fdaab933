/** The training step of a configuration as a thing to time: its program with every tensor touched, and no text. */
import type { ModelConfig } from '../models/config.ts';
import type { Executor, LoadedProgram, RunStatistics } from '../runtime/executor.ts';
import type { FrozenTrainConfig } from './config.ts';
import { integerInput } from './inputs.ts';
import { checkMemory, planMemory } from './memory.ts';
import { buildTraining, type TrainingPrograms } from './program.ts';

export interface TimedStep {
  readonly programs: TrainingPrograms;
  /** Runs the program of a step (of its gradients, where steps accumulate) with the time of every call. */
  run(): Promise<RunStatistics>;
  dispose(): void;
}

export function openTimedStep(model: ModelConfig, train: FrozenTrainConfig, executor: Executor): TimedStep {
  const programs = buildTraining(model, train);
  checkMemory(planMemory([programs.step]), 'Measure with a smaller train.batch or train.length.');
  const store = executor.createStore();
  const loaded = executor.load(programs.step, store);
  // A page that was never written is read from one cached page of zeros, faster than anything real.
  for (const key of store.keys()) store.find(key)?.data.fill(0);
  for (const { name, shape } of programs.parameters) {
    store.tensor(`parameter/${name}`, 'float32', shape).data.fill(0.01);
  }
  writePositions(loaded, train);
  return {
    programs,
    run: () => loaded.run({ profile: true }),
    dispose() {
      loaded.dispose();
      store.dispose();
    },
  };
}

/** Rows of one document each; token ids stay 0. */
function writePositions({ inputs }: LoadedProgram, { length }: FrozenTrainConfig): void {
  const positions = integerInput(inputs, 'positions');
  for (let index = 0; index < positions.length; index++) positions[index] = index % length;
}
