/** `lanes: auto`: whether the branches of blocks are run at the same time, chosen by the time of whole steps on this machine. */
import type { ModelConfig } from '../models/config.ts';
import type { Executor } from '../runtime/executor.ts';
import type { FrozenTrainConfig } from './config.ts';
import { openTimedStep } from './timing.ts';

export interface MeasuredLanes {
  readonly lanes: boolean;
  /** Seconds of the fastest step, one branch after the other and in lanes. */
  readonly off: number;
  readonly on: number;
}

const rounds = 2;
const warmup = 1;
const runs = 3;

/** Measures both in turn. A program that has no lanes to run is not measured: `off` and `on` are then 0. */
export async function measureLanes(
  model: ModelConfig,
  train: FrozenTrainConfig,
  executor: Executor,
): Promise<MeasuredLanes> {
  const fastest = { off: Number.POSITIVE_INFINITY, on: Number.POSITIVE_INFINITY };
  for (let round = 0; round < rounds; round++) {
    for (const name of ['on', 'off'] as const) {
      const step = openTimedStep(model, { ...train, lanes: name === 'on' }, executor);
      try {
        if (name === 'on' && !step.programs.step.schedule.some((item) => 'group' in item)) {
          return { lanes: false, off: 0, on: 0 };
        }
        for (let run = 0; run < warmup; run++) await step.run();
        for (let run = 0; run < runs; run++) {
          fastest[name] = Math.min(fastest[name], (await step.run()).seconds);
        }
      } finally {
        step.dispose();
      }
    }
  }
  return { lanes: fastest.on < fastest.off, ...fastest };
}
