/** `braid bench train`: steps of models, in turn. */
import { Command } from 'commander';
import { benchTraining, type TrainingSubject } from '../../bench/train.ts';
import { settle } from '../../train/index.ts';
import { count } from '../arguments.ts';
import {
  addCommonOptions,
  addProfileOptions,
  type CommonOptions,
  measure,
  openModels,
  type ProfileOptions,
  requireProfile,
  tell,
  writeTraces,
} from './options.ts';

interface Options extends CommonOptions, ProfileOptions {
  readonly steps: number;
}

export function trainCommand(): Command {
  const command = new Command('train')
    .description('Training: tokens per second, MFU and memory, optimizer included, on random tokens.')
    .argument('<models...>', 'presets or YAML files')
    .option(
      '--steps <n>',
      'measured steps of each model over all rounds; one or two more go before in each',
      count,
      6,
    );
  return addProfileOptions(addCommonOptions(command))
    .addHelpText(
      'after',
      '\nExample:\n  braid bench train flowhn-none-135m llama-135m --set train.batch=2 train.length=1024 --profile',
    )
    .action(run);
}

async function run(models: string[], options: Options): Promise<void> {
  requireProfile(options);
  const { configs, executor, machine } = openModels(models, options);
  const subjects: TrainingSubject[] = [];
  for (const [index, config] of configs.entries()) {
    const { model, train } = await settle(config, { executor, machine, tell });
    const { batch, length } = train;
    const subject = { model: model.name ?? models[index], batch, length };
    subjects.push({ subject, model, train, executor });
  }
  const { steps, profile = false } = options;
  // One model alone needs no turns.
  const turns = { ...options, rounds: models.length === 1 ? 1 : options.rounds };
  const { recorders } = await measure(
    { kind: 'train', options: turns, executor, samples: steps, total: steps * subjects.length },
    ({ onDone, ...around }) =>
      benchTraining({ ...around, subjects, steps, profile, onStep: ({ model }) => onDone(model) }),
  );
  if (options.trace !== undefined) await writeTraces(options.trace, recorders);
}
