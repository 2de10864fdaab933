/** The training loop: steps, metrics, validation, checkpoints, and stopping in good order. */
import { BraidError } from '../graph/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { StepMetrics } from './metrics.ts';
import type { Run } from './run.ts';
import type { Trainer } from './trainer.ts';

export interface Validation {
  /** Mean −log p per target, in nats. */
  readonly loss: number;
  readonly bitsPerByte: number;
}

export interface LoopOptions {
  /** Aborting it stops after the step at hand, and saves. */
  readonly signal?: AbortSignal;
  /** Stop after this step, and save, though the run is longer. */
  readonly until?: number;
  readonly validate?: () => Promise<Validation>;
  readonly onStep?: (metrics: StepMetrics) => void;
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void;
}

export interface Outcome {
  /** `finished`: all steps are done; `stopped`: by `until`; `interrupted`: by the signal. */
  readonly end: 'finished' | 'stopped' | 'interrupted';
  readonly step: number;
  readonly checkpoint: Checkpoint;
}

/**
 * Loads the newest usable checkpoint, or begins with fresh weights when there is none, and rewinds the metrics to it.
 * Returns the step at which the run stands.
 */
export async function resume(run: Run, trainer: Trainer, warn: (message: string) => void): Promise<number> {
  const checkpoint = await run.checkpoints.load(trainer.persistent, warn);
  if (checkpoint) await trainer.restored(checkpoint.progress);
  else await trainer.initialize();
  const { step } = trainer.progress;
  run.metrics.rewind(step);
  return step;
}

/** Trains until the run is done or told to stop. There is a checkpoint of where it stands when it returns. */
export async function trainRun(run: Run, trainer: Trainer, options: LoopOptions = {}): Promise<Outcome> {
  const { steps, checkpointEvery, keep, validateEvery } = run.config.train;
  const last = Math.min(steps, options.until ?? steps);
  const save = async (): Promise<Checkpoint> => {
    const checkpoint = await run.checkpoints.save(trainer.progress, trainer.persistent, keep);
    options.onCheckpoint?.(checkpoint);
    return checkpoint;
  };
  try {
    while (trainer.progress.step < last && !options.signal?.aborted) {
      const metrics = await trainer.step();
      const { step } = metrics;
      const due = step === steps || (validateEvery > 0 && step % validateEvery === 0);
      const validation = due ? await options.validate?.() : undefined;
      const complete = validation ? { ...metrics, validation } : metrics;
      run.metrics.append(complete);
      options.onStep?.(complete);
      if (checkpointEvery > 0 && step % checkpointEvery === 0 && step < last) await save();
    }
  } catch (error) {
    throw withLastCheckpoint(run, error);
  }
  const checkpoint = await save();
  const { step } = trainer.progress;
  return { end: step >= steps ? 'finished' : step >= last ? 'stopped' : 'interrupted', step, checkpoint };
}

/** A run that diverges says from where it can go on. */
function withLastCheckpoint(run: Run, error: unknown): unknown {
  if (!(error instanceof BraidError) || error.code !== 'diverged') return error;
  const [newest] = run.checkpoints.list();
  const advice = newest
    ? `The last good checkpoint is that of step ${newest.step}, '${newest.folder}'.`
    : 'There is no checkpoint yet.';
  return new BraidError('diverged', `${error.message} ${advice} A smaller train.learningRate often helps.`, {
    cause: error.cause,
  });
}
