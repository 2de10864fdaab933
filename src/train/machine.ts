/** The executor that a run asks for, and what the machine offers for the values that a configuration leaves open. */
import { availableParallelism } from 'node:os';
import type { Executor } from '../runtime/index.ts';
import { createExecutor, inspectNative } from '../runtime/index.ts';
import type { FrozenTrainConfig, MachineDefaults } from './config.ts';

export function machineDefaults(): MachineDefaults {
  const isa = inspectNative().isa ?? '';
  return { threads: availableParallelism(), bfloat16: isa.includes('bf16') };
}

/** Without the addon, a run that asks for `native` stops here with the reason. */
export function executorFor({
  executor,
  threads,
  precision,
}: Pick<FrozenTrainConfig, 'executor' | 'threads' | 'precision'>): Executor {
  return createExecutor(executor, { threads, precision: precision === 'float64' ? 'float64' : 'float32' });
}
