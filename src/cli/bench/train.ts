/** `braid bench train`: steps of models, in turn. */
import { Command } from 'commander';
import { openExecutor } from '../../bench/session.ts';
import { benchTraining, type TrainingSubject } from '../../bench/train.ts';
import { settle } from '../../train/index.ts';
import { count } from '../arguments.ts';
import { createProgress } from '../progress.ts';
import { readSettings } from '../settings.ts';
import {
  addCommonOptions,
  addProfileOptions,
  type CommonOptions,
  effortOf,
  makeReport,
  type ProfileOptions,
  publish,
  requireProfile,
  tell,
  withPeer,
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
  const configs = models.map((source) => readSettings(source, { overrides: options.set, steps: 1000 }));
  const { executor, machine } = openExecutor(configs[0].train);
  const subjects: TrainingSubject[] = [];
  for (const [index, config] of configs.entries()) {
    const { model, train } = await settle(config, { executor, machine, tell });
    const name = model.name ?? models[index];
    subjects.push({
      subject: { model: name, batch: train.batch, length: train.length },
      model,
      train,
      executor,
    });
  }
  const progress = createProgress('bench train');
  const total = options.steps * subjects.length;
  let done = 0;
  const result = await withPeer(options, executor, (peer) =>
    benchTraining({
      subjects,
      steps: options.steps,
      rounds: models.length === 1 ? 1 : Math.min(options.rounds, options.steps),
      profile: options.profile === true,
      effort: effortOf(options),
      onStep: ({ model }) => {
        done++;
        progress.update(done, total, String(model));
      },
      peer,
    }),
  );
  progress.finish();
  await publish(makeReport('train', result, executor), options);
  if (options.trace !== undefined) await writeTraces(options.trace, result.recorders);
}
