/** `braid compare`: trains several models alike, prints the table, writes `results.json`, `table.md` and `report.html`. */
import { Command, Option } from 'commander';
import { BraidError } from '../graph/index.ts';
import { markdownTable, textTable } from '../report/table.ts';
import type { Equal, Measuring, OpenDesign, Rates } from '../study/index.ts';
import {
  type ComparisonResult,
  comparisonNote,
  comparisonPage,
  comparisonTable,
  equals,
  runComparison,
} from '../study/index.ts';
import type { RunConfig } from '../train/index.ts';
import { count, counts, duration, jobs, rates, several } from './arguments.ts';
import { reportComparison, writeFiles } from './comparison.ts';
import { checkVocabulary, readSettings } from './settings.ts';
import { type NamedTask, namedTasks, taskFiles } from './tasks.ts';

interface Options {
  readonly equal: Equal;
  readonly seeds: readonly number[];
  readonly rates?: Rates;
  readonly budget?: number;
  readonly out: string;
  readonly text?: readonly string[];
  readonly set: string[];
  readonly tasks?: readonly NamedTask[];
  readonly docs?: string;
  readonly questions?: number;
  readonly jobs: number | 'auto';
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('compare')
    .description('Train the models named alike, with several seeds, and say which differ and how surely.')
    .argument('<models...>', 'presets or YAML files')
    .addOption(
      new Option('--equal <what>', 'what all models get the same of').choices(equals).default('tokens'),
    )
    .option('--seeds <list>', 'seeds, with commas: 1,2,3', counts, [1])
    .option('--rates <list>', "learning rates to choose from, with commas, or 'kaplan'", rates)
    .option('--budget <time>', 'what all of it may take, instead of steps: 10m, 1h, 8h', duration)
    .option('-o, --out <folder>', 'where runs, results and report go', 'runs/compare')
    .option(
      '--text <file>',
      'plain text to train on (default: the Brown corpus); may be given again',
      several,
    )
    .option('--set <overrides...>', 'values of the configuration, as path.to.key=value', [])
    .option('--tasks <list>', 'tasks of questions, NAME or NAME=FILE, with commas between them', namedTasks)
    .option('--docs <folder>', 'documents of the tasks: NAME.jsonl')
    .option('--questions <n>', 'only the first questions of each task', count)
    .option('--jobs <n>', "runs at a time, or 'auto': by measurement, where models are small", jobs, 'auto')
    .option('--json', 'print JSON instead of the table')
    .addHelpText(
      'after',
      '\nExamples:\n  braid compare llama-nano mamba1-nano flowhn-none-nano --set train.steps=500\n' +
        '  braid compare flowhn-fac-10m flowhn-chunks-10m --equal flops --seeds 1,2,3 --text book.txt\n' +
        '  braid compare llama-nano shm-nano --equal seconds --budget 10m --rates 1e-3,3e-3\n\n' +
        'With --equal flops or seconds every model spends what the first one spends in its steps.\n' +
        'The same command goes on where it was interrupted.',
    )
    .action(async (models: string[], options: Options) => {
      const configs = models.map((source) =>
        readSettings(source, {
          ...(options.text ? { text: options.text } : {}),
          overrides: options.set,
        }),
      );
      const { seeds, equal, budget } = options;
      const comparison = await compare(configs, options.out, {
        seeds,
        equal,
        rates: options.rates ?? { kind: 'fixed' },
        ...(budget ? { budget } : {}),
        jobs: options.jobs,
        measuring: {
          tasks: taskFiles(options.tasks ?? [], options.docs),
          ...(options.questions ? { questions: options.questions } : {}),
        },
      });
      if (options.json) process.stdout.write(`${JSON.stringify(comparison, null, 2)}\n`);
      else printComparison(comparison, options.out);
    });
}

export interface CompareSettings {
  readonly seeds: readonly number[];
  readonly equal: Equal;
  readonly rates: Rates;
  /** Seconds that all of it may take, instead of the steps of the configurations. */
  readonly budget?: number;
  readonly measuring?: Measuring;
  /** Runs at a time; one unless given. */
  readonly jobs?: number | 'auto';
}

/** Runs a comparison with progress lines and writes its three files. */
export async function compare(
  configs: readonly RunConfig[],
  folder: string,
  settings: CompareSettings,
): Promise<ComparisonResult> {
  for (const config of configs) checkVocabulary(config);
  const comparison = await reportComparison('compare', (hooks) =>
    runComparison(designOf(configs, settings), {
      ...hooks,
      name: 'compare',
      folder,
      ...(settings.measuring ? { measuring: settings.measuring } : {}),
      ...(settings.jobs ? { jobs: settings.jobs } : {}),
    }),
  );
  const { columns, rows } = comparisonTable(comparison);
  await writeFiles(folder, {
    'results.json': `${JSON.stringify(comparison, null, 2)}\n`,
    'report.html': comparisonPage(comparison),
    'table.md': `${markdownTable(columns, rows)}\n\n${comparisonNote(comparison)}\n`,
  });
  return comparison;
}

/** One design from configurations whose text and training must be the same. */
function designOf(
  configs: readonly RunConfig[],
  { budget, seeds, equal, rates: chosen }: CompareSettings,
): OpenDesign {
  const [first] = configs;
  if (!first) throw new BraidError('usage', 'Name at least one model to compare.');
  for (const { model, train } of configs) {
    const differs = (Object.keys(train) as (keyof typeof train)[]).find(
      (key) => train[key] !== first.train[key],
    );
    if (differs === undefined) continue;
    throw new BraidError(
      'usage',
      `train.${differs} is ${first.train[differs]} for '${first.model.name}' and ${train[differs]} for '${model.name}'. ` +
        `A comparison trains all models alike: set it for all, with --set train.${differs}=…`,
    );
  }
  const { steps, tokens, batch, accumulation, length } = first.train;
  const amount = budget
    ? { budget }
    : { steps: steps ?? Math.ceil((tokens ?? 0) / (batch * accumulation * length)) };
  return {
    ...{ seeds, equal, rates: chosen },
    amount,
    rows: configs.map(({ model }, index) => ({ name: model.name ?? `model-${index + 1}`, model })),
    data: first.data,
    train: first.train,
  };
}

export function printComparison(comparison: ComparisonResult, folder: string): void {
  const { columns, rows } = comparisonTable(comparison);
  process.stdout.write(`${textTable(columns, rows)}\n\n`);
  process.stdout.write(`${comparisonNote(comparison)}\n\n`);
  process.stdout.write(`Report: ${folder}/report.html   Figures: ${folder}/results.json\n`);
}
