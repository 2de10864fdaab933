/** `braid study`: a prepared study, within a budget, with its report. */
import { Command, Option } from 'commander';
import { BraidError } from '../graph/index.ts';
import { formatDuration } from '../report/format.ts';
import { textTable } from '../report/table.ts';
import type { PreparedStudy, Rates, StudySize } from '../study/index.ts';
import {
  comparisonNote,
  comparisonTable,
  findStudy,
  prepareStudy,
  runStudy,
  studies,
  studyMarkdown,
  studyPage,
  studySizes,
} from '../study/index.ts';
import { dataConfigSchema } from '../train/index.ts';
import { counts, duration, jobs, rates, several } from './arguments.ts';
import { reportComparison, writeFiles } from './comparison.ts';
import { checkVocabulary } from './settings.ts';

interface Options {
  readonly budget: number;
  readonly size: StudySize;
  readonly seeds?: readonly number[];
  readonly rates?: Rates;
  readonly out?: string;
  readonly text?: readonly string[];
  readonly shards?: string;
  readonly jobs: number | 'auto';
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('study')
    .description(
      'Run a prepared study: a question, the models that can answer it, and how sure the answer is.',
    )
    .argument('[name]', 'the study; without it, all are listed')
    .option('--budget <time>', 'what all of it may take: 10m, 1h, 8h', duration, 600)
    .addOption(
      new Option('--size <size>', 'size of the models; from 135m flowhn-table only')
        .choices(studySizes)
        .default('nano'),
    )
    .option('--seeds <list>', 'seeds, with commas (default: 2 of them, from 1h 3, from 8h 5)', counts)
    .option(
      '--rates <list>',
      "learning rates to choose from, with commas, or 'kaplan' (default: one; from 1h a grid of three)",
      rates,
    )
    .option('-o, --out <folder>', 'where runs, results and report go (default: runs/study-NAME)')
    .option(
      '--text <file>',
      'plain text to train on (default: the Brown corpus); may be given again',
      several,
    )
    .option('--shards <folder>', 'token shards to train on instead of a text')
    .option('--jobs <n>', "runs at a time, or 'auto': by measurement, where models are small", jobs, 'auto')
    .option('--json', 'print JSON instead of the tables')
    .addHelpText(
      'after',
      '\nExamples:\n  braid study\n  braid study routing --budget 1h\n\n' +
        'The same command goes on where it was interrupted.',
    )
    .action(async (name: string | undefined, options: Options) => {
      if (name === undefined) list();
      else await run(name, options);
    });
}

function list(): void {
  const rows = studies.map(({ name, summary }) => [name, summary]);
  process.stdout.write(`${textTable([{ title: 'study' }, { title: 'what it varies' }], rows)}\n`);
}

async function run(
  name: string,
  { out, text, shards, json, jobs: wanted, ...options }: Options,
): Promise<void> {
  const study = findStudy(name);
  const folder = out ?? `runs/study-${name}`;
  if (text && shards) throw new BraidError('usage', 'Give either --text or --shards, and not both.');
  const source = shards ? { shards, tokenizer: 'shards' } : text ? { text } : {};
  const data = dataConfigSchema.parse({ ...source, validateEvery: 20 });
  const prepared = prepareStudy(study, { ...options, data });
  for (const { rows } of prepared.parts) {
    for (const { model } of rows) checkVocabulary({ model, data });
  }
  process.stderr.write(`${announce(prepared)}\n`);
  const result = await runStudy(prepared, folder, (part, runPart) =>
    reportComparison(part.title, (hooks) => runPart({ ...hooks, jobs: wanted })),
  );
  await writeFiles(folder, {
    'study.json': `${JSON.stringify(result, null, 2)}\n`,
    'report.html': studyPage(study, result),
    'tables.md': studyMarkdown(result),
  });
  if (json) {
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  for (const { title, comparison } of result.parts) {
    const { columns, rows } = comparisonTable(comparison);
    process.stdout.write(`${title}\n\n${textTable(columns, rows)}\n\n`);
    process.stdout.write(`${comparisonNote(comparison)}\n\n`);
  }
  process.stdout.write(`Report: ${folder}/report.html   Figures: ${folder}/study.json\n`);
}

/** What is about to happen and how long it may take. */
function announce({ study, settings, parts }: PreparedStudy): string {
  const { budget, seeds, rates: choice, size } = settings;
  const tried = choice.kind === 'grid' ? `, learning rates ${choice.rates.join(', ')}` : '';
  const each = parts.map(
    ({ title, rows, share }) => `  ${title}: ${rows.length} models, ${formatDuration(budget * share)}`,
  );
  return [
    study.question,
    `Size ${size}, seeds ${seeds.join(', ')}${tried}, at most ${formatDuration(budget)} in all:`,
    ...each,
  ].join('\n');
}
