/** `npm run quickstart`: FlowHN in all its strategies beside LLaMA, Mamba-1 and SHM, on real English text. */
import { Command } from 'commander';
import { quickstartPresets } from '../models/index.ts';
import { several } from './arguments.ts';
import { compare, printComparison } from './compare.ts';
import { readSettings } from './settings.ts';

/** Chosen so that all models together take a few minutes on two cores. */
const settings = {
  batch: 2,
  steps: 750,
  learningRate: 3e-3,
  checkpointEvery: 0,
};

export function command(): Command {
  return new Command('quickstart')
    .description(
      'Train small models on the Brown corpus, print the table, write the report: a few minutes on two cores.',
    )
    .option('-o, --out <folder>', 'where runs, results and report go', 'runs/quickstart')
    .option('--text <file>', 'plain text instead of the Brown corpus; may be given again', several)
    .option('--set <overrides...>', 'values of the configuration, as path.to.key=value', [])
    .addHelpText(
      'after',
      '\nExample:\n  npm run quickstart\n  npm run quickstart -- --text book.txt --out runs/book',
    )
    .action(async (options: { out: string; text?: readonly string[]; set: string[] }) => {
      const configs = quickstartPresets.map(({ name }) =>
        readSettings(name, {
          ...(options.text ? { text: options.text } : {}),
          defaults: settings,
          overrides: options.set,
        }),
      );
      const alike = { seeds: [1], equal: 'tokens', rates: { kind: 'fixed' } } as const;
      printComparison(await compare(configs, options.out, alike), options.out);
    });
}
