import { BraidError } from '../graph/index.ts';
import type { Executor } from './executor.ts';
import { createNativeExecutor, type NativeOptions } from './native.ts';
import { createReferenceExecutor, type ReferenceOptions } from './reference.ts';

export const executorNames = ['native', 'reference'] as const;
export type ExecutorName = (typeof executorNames)[number];

/** An executor by name. Options of the other executor are ignored, so that both can be asked for with the same settings. */
export function createExecutor(name: string, options: NativeOptions & ReferenceOptions = {}): Executor {
  if (name === 'native') return createNativeExecutor(options);
  if (name === 'reference') return createReferenceExecutor(options);
  throw new BraidError('usage', `There is no executor '${name}'. Known: ${executorNames.join(', ')}.`);
}
