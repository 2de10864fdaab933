/**
 * `balance: time`: the share of the first branch at which both branches of the routed blocks take equally long on this
 * machine, forward and backward, measured in the model's own training step without its vocabulary.
 */
import type { Block, MeasuredShare, RoutedBlock } from '../blocks/index.ts';
import { equalizeTimes, evenness, findStrategy } from '../blocks/index.ts';
import { BraidError } from '../graph/index.ts';
import type { ModelConfig } from '../models/config.ts';
import { blocksOf } from '../models/config.ts';
import type { Executor } from '../runtime/executor.ts';
import { branchTimes } from './branchTimes.ts';
import type { FrozenTrainConfig } from './config.ts';
import { openTimedStep } from './timing.ts';

export interface MeasuredBalance {
  /** Share of the first branch. */
  readonly ratio: number;
  /** The faster branch's time over the slower one's at that share. */
  readonly evenness: number;
  /** All that was measured, the most even one first. */
  readonly measured: readonly MeasuredShare[];
}

/** Whether a routed block still waits for its share to be measured. */
export function needsMeasuredBalance(model: ModelConfig): boolean {
  return routedBlocks(blocksOf(model)).some(
    ({ routing }) =>
      routing.balance === 'time' &&
      routing.ratio === undefined &&
      findStrategy(routing.strategy).ratio === 'solved',
  );
}

/** A run must not begin with a share that was never measured. */
export function requireSettled(model: ModelConfig): void {
  if (!needsMeasuredBalance(model)) return;
  throw new BraidError(
    'config',
    "routing.balance is 'time', but the share was not measured. Measure it with 'settle' before the run, or give routing.ratio.",
  );
}

function routedBlocks(blocks: readonly Block[]): readonly RoutedBlock[] {
  return blocks.flatMap((block) => {
    if (block.kind === 'routed') return [block];
    if (block.kind === 'sequence') return routedBlocks(block.items);
    return block.kind === 'parallel' ? routedBlocks(block.branches) : [];
  });
}

/** The model with a share for all its routed blocks. */
export function withRatio(model: ModelConfig, ratio: number): ModelConfig {
  const fixed: ModelConfig = { ...model, routing: { ...model.routing, ratio } };
  if (!needsMeasuredBalance(fixed)) return fixed;
  throw new BraidError(
    'config',
    "routing.balance 'time' is measured for all blocks of a model together: give it in the model's own 'routing', not in " +
      'that of single blocks.',
  );
}

/** Only the blocks are timed: a small vocabulary keeps embedding and head out of the way. */
const vocabulary = 256;
const warmup = 1;
const runs = 4;

export async function measureBalance(
  model: ModelConfig,
  train: FrozenTrainConfig,
  executor: Executor,
): Promise<MeasuredBalance> {
  const small: ModelConfig = { ...model, vocabulary };
  const measured = await equalizeTimes((share) => timesAt(withRatio(small, share), train, executor, share), {
    start: 0.5,
  });
  const [best] = measured;
  return { ratio: best.share, evenness: evenness(best), measured };
}

async function timesAt(
  model: ModelConfig,
  train: FrozenTrainConfig,
  executor: Executor,
  share: number,
): Promise<MeasuredShare> {
  const step = openTimedStep(model, train, executor);
  try {
    const { step: program, blocks } = step.programs;
    const routed = blocks.filter(({ kind }) => kind === 'routed');
    for (let run = 0; run < warmup; run++) await step.run();
    const samples: { first: number; second: number }[] = [];
    for (let run = 0; run < runs; run++) {
      const statistics = await step.run();
      const times = routed.map((block) => branchTimes(program, statistics, block));
      const total = (branch: number) => times.reduce((sum, one) => sum + one[branch], 0);
      samples.push({ first: total(0), second: total(1) });
    }
    // Others can only make a run slower: the fastest of each is nearest to the truth.
    const first = Math.min(...samples.map((sample) => sample.first));
    const second = Math.min(...samples.map((sample) => sample.second));
    return { share, first, second };
  } finally {
    step.dispose();
  }
}
