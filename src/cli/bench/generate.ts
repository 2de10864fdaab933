/** `braid bench generate`: one step of generation, by batch and position. */
import { Command } from 'commander';
import { benchGeneration, type GenerationSubject } from '../../bench/generate.ts';
import { freeze } from '../../train/index.ts';
import { count, counts } from '../arguments.ts';
import {
  addCommonOptions,
  addProfileOptions,
  type CommonOptions,
  measure,
  openModels,
  type ProfileOptions,
  requireProfile,
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
  const { configs, executor, machine } = openModels(models, options, 1);
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
  const { steps, rounds, profile = false } = options;
  const total = subjects.length * Math.min(rounds, steps);
  const { recorders } = await measure(
    { kind: 'generate', options, executor, samples: steps, total },
    ({ onDone, ...around }) =>
      benchGeneration({
        ...around,
        subjects,
        samples: steps,
        profile,
        onSubject: ({ model }) => onDone(model),
      }),
  );
  if (options.trace !== undefined) await writeTraces(options.trace, recorders);
}
