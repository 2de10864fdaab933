/** Training speed of one model on random tokens: what the machine does, whatever the text. */

import type { ModelConfig } from '../models/index.ts';
import { planModel } from '../models/plan.ts';
import { randomStream } from '../nn/random.ts';
import type { Executor } from '../runtime/index.ts';
import type { FrozenTrainConfig, MemoryPlan } from '../train/index.ts';
import { Trainer, tokensPerStep } from '../train/index.ts';
import { peakMemory, resetPeakMemory } from './memory.ts';
import { type Spread, spread } from './statistics.ts';

export interface TrainingSpeed {
  readonly name: string;
  readonly batch: number;
  readonly length: number;
  readonly precision: string;
  readonly threads: number;
  readonly executor: string;
  readonly steps: number;
  readonly stepSeconds: Spread;
  readonly tokensPerSecond: number;
  readonly flopsPerToken: { readonly forward: number; readonly training: number };
  /** Model FLOPs of a step, and those that the kernels executed, recomputation included. */
  readonly flopsPerStep: { readonly model: number; readonly executed: number };
  readonly laneBalance: number | null;
  readonly plannedMemory: MemoryPlan;
  /** Arena over the largest sum of simultaneously live tensors. */
  readonly arenaOverLive: number;
  readonly peakMemoryBytes: number | null;
}

export interface TrainingBench {
  readonly model: ModelConfig;
  readonly train: FrozenTrainConfig;
  readonly executor: Executor;
  /** Measured steps; two more go before them and are not counted. */
  readonly steps: number;
  readonly onStep?: (done: number) => void;
}

const warmup = 2;

export async function measureTraining(bench: TrainingBench): Promise<TrainingSpeed> {
  const { model, train, executor, steps } = bench;
  const counted = resetPeakMemory();
  const trainer = new Trainer({ model, train, executor, text: randomText(model.vocabulary, train) });
  try {
    await trainer.initialize();
    const seconds: number[] = [];
    const balances: number[] = [];
    for (let step = 0; step < warmup + steps; step++) {
      const { tokensPerSecond, laneBalance } = await trainer.step();
      if (step < warmup) continue;
      seconds.push(tokensPerStep(train) / tokensPerSecond);
      if (laneBalance !== undefined) balances.push(laneBalance);
      bench.onStep?.(seconds.length);
    }
    const stepSeconds = spread(seconds);
    const { step, update, flopsPerStep } = trainer.programs;
    const executed = [step, ...(update ? [update] : [])]
      .flatMap(({ calls }) => calls)
      .reduce((sum, { flops }) => sum + flops, 0);
    return {
      name: model.name ?? 'model',
      batch: train.batch,
      length: train.length,
      precision: train.precision,
      threads: executor.threads,
      executor: executor.name,
      steps,
      stepSeconds,
      tokensPerSecond: tokensPerStep(train) / stepSeconds.median,
      flopsPerToken: planModel(model, { length: train.length }).flopsPerToken,
      flopsPerStep: { model: flopsPerStep, executed: executed * train.accumulation },
      laneBalance: balances.length > 0 ? spread(balances).median : null,
      plannedMemory: trainer.memory,
      arenaOverLive: step.arenaBytes / step.peakLiveBytes,
      peakMemoryBytes: counted ? peakMemory() : null,
    };
  } finally {
    trainer.dispose();
  }
}

/** One document of random tokens, long enough for a few steps; the loader goes round it. */
function randomText(vocabulary: number, train: FrozenTrainConfig) {
  const stream = randomStream(train.seed, 'bench');
  const count = 4 * tokensPerStep(train) + 1;
  const tokens = Int32Array.from({ length: count }, (_, index) => stream.uint32(index) % vocabulary);
  return { tokens, starts: Int32Array.of(0), bytes: count };
}
