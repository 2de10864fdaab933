/** `braid compare`: trains several models alike, prints the table, writes `results.json` and `report.html`. */
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { compareModels } from '../bench/compare.ts';
import type { Comparison } from '../bench/results.ts';
import { writeFileAtomically } from '../models/index.ts';
import { comparisonColumns, comparisonNote, comparisonPage, comparisonRows } from '../report/comparison.ts';
import { formatCount } from '../report/format.ts';
import { markdownTable, textTable } from '../report/table.ts';
import type { RunConfig } from '../train/index.ts';
import { several } from './arguments.ts';
import { createProgress, type Progress } from './progress.ts';
import { checkVocabulary, readSettings } from './settings.ts';
import { onInterrupt } from './signals.ts';

interface Options {
  readonly equal: 'tokens' | 'flops';
  readonly out: string;
  readonly text?: readonly string[];
  readonly set: string[];
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('compare')
    .description('Train the models named on the same tokens, or for the same FLOPs, with the same settings.')
    .argument('<models...>', 'presets or YAML files')
    .addOption(
      new Option('--equal <what>', 'what all models get the same of')
        .choices(['tokens', 'flops'])
        .default('tokens'),
    )
    .option('-o, --out <folder>', 'where runs, results and report go', 'runs/compare')
    .option(
      '--text <file>',
      'plain text to train on (default: the Brown corpus); may be given again',
      several,
    )
    .option('--set <overrides...>', 'values of the configuration, as path.to.key=value', [])
    .option('--json', 'print JSON instead of the table')
    .addHelpText(
      'after',
      '\nExamples:\n  braid compare llama-nano mamba1-nano flowhn-none-nano --set train.steps=500\n' +
        '  braid compare flowhn-fac-10m flowhn-chunks-10m --equal flops --text book.txt\n\n' +
        'With --equal flops every model spends the FLOPs that the first one spends in its steps.\n' +
        'The same command goes on where it was interrupted.',
    )
    .action(async (models: string[], options: Options) => {
      const configs = models.map((source) =>
        readSettings(source, {
          ...(options.text ? { text: options.text } : {}),
          overrides: options.set,
        }),
      );
      for (const config of configs) checkVocabulary(config);
      const comparison = await runComparison(configs, options.equal, options.out);
      if (options.json) process.stdout.write(`${JSON.stringify(comparison, null, 2)}\n`);
      else printComparison(comparison, options.out);
    });
}

/** Runs a comparison with progress lines and writes its three files. */
export async function runComparison(
  configs: readonly RunConfig[],
  equal: 'tokens' | 'flops',
  folder: string,
): Promise<Comparison> {
  const interruption = onInterrupt('Stopping after this step, and saving.');
  const lines = new Map<string, Progress>();
  try {
    const comparison = await compareModels({
      configs,
      equal,
      folder,
      signal: interruption.signal,
      warn: (message) => process.stderr.write(`${message}\n`),
      onStep: (model, metrics, steps) => {
        let line = lines.get(model);
        if (!line) {
          line = createProgress(model);
          lines.set(model, line);
        }
        line.update(
          metrics.step,
          steps,
          `loss ${metrics.loss.toFixed(3)}  ${formatCount(metrics.tokensPerSecond)} tokens/s`,
        );
      },
      onModel: ({ name, validationBitsPerByte }) =>
        lines.get(name)?.finish(`${name}: ${validationBitsPerByte.toFixed(3)} bits per byte`),
    });
    await write(comparison, folder);
    return comparison;
  } finally {
    for (const line of lines.values()) line.finish();
    interruption.release();
  }
}

async function write(comparison: Comparison, folder: string): Promise<void> {
  const table = markdownTable(comparisonColumns, comparisonRows(comparison.models));
  const files = {
    'results.json': `${JSON.stringify(comparison, null, 2)}\n`,
    'report.html': comparisonPage(comparison),
    'table.md': `${table}\n\n${comparisonNote(comparison)}\n`,
  };
  for (const [name, content] of Object.entries(files)) {
    await writeFileAtomically(join(folder, name), (file) => file.write(Buffer.from(content)));
  }
}

export function printComparison(comparison: Comparison, folder: string): void {
  process.stdout.write(`${textTable(comparisonColumns, comparisonRows(comparison.models))}\n\n`);
  process.stdout.write(`${comparisonNote(comparison)}\n\n`);
  process.stdout.write(`Report: ${join(folder, 'report.html')}   Figures: ${join(folder, 'results.json')}\n`);
}
