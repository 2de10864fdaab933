/** `braid bench scaling`: training steps of models over lengths, batches and threads, one of them changed at a time. */
import { Command } from 'commander';
import { openExecutor } from '../../bench/session.ts';
import { benchTraining, type TrainingSubject } from '../../bench/train.ts';
import { BraidError } from '../../graph/index.ts';
import type { Executor } from '../../runtime/index.ts';
import { type FrozenRunConfig, freeze, settle } from '../../train/index.ts';
import { count, counts } from '../arguments.ts';
import { addCommonOptions, type CommonOptions, measure, openModels, tell } from './options.ts';

interface Options extends CommonOptions {
  readonly lengths: readonly number[];
  readonly batches: readonly number[];
  readonly threads: readonly number[];
  readonly steps: number;
}

interface Point {
  readonly batch: number;
  readonly length: number;
  readonly threads: number;
}

export function scalingCommand(): Command {
  const command = new Command('scaling')
    .description(
      'Training over lengths, batches and threads, one of them changed at a time from the configuration.',
    )
    .argument('<models...>', 'presets or YAML files')
    .option('--lengths <n,...>', 'tokens of a row', counts, [])
    .option('--batches <n,...>', 'rows', counts, [])
    .option('--threads <n,...>', 'threads', counts, [])
    .option(
      '--steps <n>',
      'measured steps of each over all rounds; one or two more go before in each',
      count,
      6,
    );
  return addCommonOptions(command)
    .addHelpText(
      'after',
      '\nExample:\n  braid bench scaling llama-10m mamba1-10m --lengths 256,1024,4096 --threads 1,2 --html scaling.html',
    )
    .action(run);
}

async function run(models: string[], options: Options): Promise<void> {
  if (options.lengths.length + options.batches.length + options.threads.length === 0) {
    throw new BraidError('usage', 'Say along what: --lengths, --batches or --threads, each with its values.');
  }
  const { configs, executor, machine } = openModels(models, options);
  const executors = new Map<number, Executor>([[executor.threads, executor]]);
  const executorOf = (threads: number): Executor => {
    const known = executors.get(threads) ?? openExecutor({ ...configs[0].train, threads }).executor;
    executors.set(threads, known);
    return known;
  };
  const subjects: TrainingSubject[] = [];
  for (const [index, config] of configs.entries()) {
    for (const point of points(freeze(config, { ...machine, lanes: false }), options)) {
      const moved = { ...config, train: { ...config.train, ...point } };
      const at = executorOf(point.threads);
      // What is measured before the run depends on length, batch and threads.
      const { model, train } = await settle(moved, { executor: at, machine, tell });
      subjects.push({
        subject: { model: model.name ?? models[index], ...point },
        model,
        train,
        executor: at,
      });
    }
  }
  const { steps } = options;
  await measure(
    { kind: 'scaling', options, executor, samples: steps, total: steps * subjects.length },
    ({ onDone, ...around }) =>
      benchTraining({ ...around, subjects, steps, onStep: ({ model }) => onDone(model) }),
  );
}

/** The point of the configuration moved along one axis at a time; none twice. */
function points({ train }: FrozenRunConfig, { lengths, batches, threads }: Options): readonly Point[] {
  const base = { batch: train.batch, length: train.length, threads: train.threads };
  const moved = [
    ...lengths.map((length) => ({ ...base, length })),
    ...batches.map((batch) => ({ ...base, batch })),
    ...threads.map((count) => ({ ...base, threads: count })),
  ];
  return [...new Map(moved.map((point) => [JSON.stringify(point), point])).values()];
}
