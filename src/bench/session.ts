/**
 * Everything a training run needs, opened from its configuration: executor, text, trainer, and a meter for validation.
 * Shared by `train`, `compare` and `bench`.
 */
import type { Text } from '../data/index.ts';
import { PerplexityMeter } from '../eval/index.ts';
import type { Executor, NativeExecutor } from '../runtime/index.ts';
import { createExecutor } from '../runtime/index.ts';
import type {
  EvaluationConfig,
  FrozenRunConfig,
  FrozenTrainConfig,
  MachineDefaults,
  TrainConfig,
  Validation,
} from '../train/index.ts';
import { Trainer } from '../train/index.ts';

/** Rows in one validation batch: enough to fill the machine, few enough to need little memory. */
const validationRows = 8;

/** Instruction set of an executor, where it has kernels for several. */
export function isaOf(executor: Executor): string | undefined {
  return 'isa' in executor ? (executor as NativeExecutor).isa : undefined;
}

/** The executor that a configuration asks for, and what this machine offers through it. */
export function openExecutor(train: Pick<TrainConfig, 'executor' | 'threads' | 'precision'>): {
  executor: Executor;
  machine: MachineDefaults;
} {
  const executor = createExecutor(train.executor, {
    ...(train.threads > 0 ? { threads: train.threads } : {}),
    precision: train.precision === 'float64' ? 'float64' : 'float32',
  });
  const bfloat16 = ['amx', 'avx512bf16'].includes(isaOf(executor) ?? '');
  return { executor, machine: { threads: executor.threads, bfloat16 } };
}

export interface Session {
  readonly trainer: Trainer;
  validate(signal?: AbortSignal): Promise<Validation>;
  dispose(): void;
}

/** The program that validates while training. */
export function validationSettings(train: FrozenTrainConfig): EvaluationConfig {
  const { length, lossChunk, precision, threads } = train;
  return { batch: validationRows, length, lossChunk, precision, threads };
}

export function openSession(config: FrozenRunConfig, executor: Executor, text: Text): Session {
  const { model, train, data } = config;
  const trainer = new Trainer({ model, train, executor, text: text.train, data });
  const settings = validationSettings(train);
  let meter: PerplexityMeter | undefined;
  return {
    trainer,
    async validate(signal) {
      meter ??= new PerplexityMeter(model, settings, text.tokenizer, executor, trainer.store);
      const options = { rows: train.validateRows, ...(signal ? { signal } : {}) };
      const { loss, bitsPerByte } = await meter.measure(text.validation, options);
      return { loss, bitsPerByte };
    },
    dispose() {
      meter?.dispose();
      trainer.dispose();
    },
  };
}
