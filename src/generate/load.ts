/** A trained model from its run, ready to generate. */
import type { Tokenizer } from '../data/index.ts';
import { tokenizerOf } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import type { Executor } from '../runtime/index.ts';
import type { Run } from '../train/index.ts';
import { checkMemory, planMemory } from '../train/index.ts';
import { pieceProgram } from './program.ts';
import type { GeneratingModel } from './session.ts';

export interface LoadedModel extends GeneratingModel {
  readonly tokenizer: Tokenizer;
  /** The step of the checkpoint. */
  readonly step: number;
}

/** Loads the newest usable checkpoint of a run. The caller disposes the store. */
export async function loadModel(
  run: Run,
  executor: Executor,
  warn: (message: string) => void,
): Promise<LoadedModel> {
  const { model, data, train } = run.config;
  const { precision } = train;
  const { threads } = executor;
  const { program, parameters } = pieceProgram(model, { length: 64, start: 0, precision, threads });
  checkMemory(planMemory([program]), 'Free some memory, or choose a smaller model.');
  const store = executor.createStore();
  const tensors = parameters.map(({ name, shape }) => store.tensor(`parameter/${name}`, 'float32', shape));
  try {
    const checkpoint = await run.checkpoints.load({ parameters: tensors }, warn);
    if (!checkpoint) {
      throw new BraidError(
        'checkpoint',
        `The run '${run.folder}' has no checkpoint yet. Train it first; one is saved every train.checkpointEvery steps.`,
      );
    }
    const tokenizer = tokenizerOf(data);
    return { model, precision, threads, executor, store, tokenizer, step: checkpoint.step };
  } catch (error) {
    store.dispose();
    throw error;
  }
}
