/** `braid bench generate`: one step of generation, by batch and position. */
import { Command } from 'commander';
import { benchGeneration, type GenerationSubject } from '../../bench/generate.ts';
import { openExecutor } from '../../bench/session.ts';
import { freeze } from '../../train/index.ts';
import { count, counts } from '../arguments.ts';
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
  withPeer,
  writeTraces,
} from './options.ts';

interface Options extends CommonOptions, ProfileOptions {
  readonly batch: readonly number[];
  readonly positions: readonly number[];
  readonly prompt?: number;
  readonly steps: number;
}

export function generateCommand(): Command {
  const command = new Command('generate')
    .description('Generation: tokens per second and share of the memory bandwidth, by batch and position.')
    .argument('<models...>', 'presets or YAML files')
    .option('--batch <n,...>', 'rows that are generated at the same time', counts, [1])
    .option('--positions <n,...>', 'tokens that stand before the step', counts, [1024])
    .option('--prompt <n>', 'measure reading a prompt of so many tokens too, from position 0', count)
    .option('--steps <n>', 'measured steps of each over all rounds; two more go before in each', count, 30);
  return addProfileOptions(addCommonOptions(command))
    .addHelpText(
      'after',
      '\nExample:\n  braid bench generate flowhn-chunks-135m mamba1-135m --batch 1,8 --positions 128,1024,8192',
    )
    .action(run);
}

async function run(models: string[], options: Options): Promise<void> {
  requireProfile(options);
  const configs = models.map((source) => readSettings(source, { overrides: options.set, steps: 1 }));
  const { executor, machine } = openExecutor(configs[0].train);
  const subjects = configs.flatMap((config, index) => {
    const { model, train } = freeze(config, { ...machine, lanes: false });
    const { precision } = train;
    const name = model.name ?? models[index];
    return options.batch.flatMap((batch): GenerationSubject[] => {
      const common = { model, precision, batch };
      const steps = options.positions.map((position) => ({
        ...common,
        subject: { model: name, what: 'token', batch, position },
        tokens: 1,
        position,
      }));
      if (options.prompt === undefined) return steps;
      const { prompt } = options;
      const subject = { model: name, what: `prompt of ${prompt}`, batch, position: 0 };
      return [...steps, { ...common, subject, tokens: prompt, position: 0 }];
    });
  });
  const rounds = Math.min(options.rounds, options.steps);
  const progress = createProgress('bench generate');
  let done = 0;
  const result = await withPeer(options, executor, (peer) =>
    benchGeneration({
      subjects,
      executor,
      samples: options.steps,
      rounds,
      profile: options.profile === true,
      effort: effortOf(options),
      onSubject: ({ model }) => {
        done++;
        progress.update(done, subjects.length * rounds, String(model));
      },
      peer,
    }),
  );
  progress.finish();
  await publish(makeReport('generate', result, executor), options);
  if (options.trace !== undefined) await writeTraces(options.trace, result.recorders);
}
