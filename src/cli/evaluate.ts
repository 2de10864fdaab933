/** `braid evaluate`: what a trained model knows: of a text, and of tasks. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { openExecutor } from '../bench/session.ts';
import { loadText, textCorpus } from '../data/index.ts';
import type { Document, EvaluatedModel, EvaluationSettings, Protocol, TaskResult } from '../eval/index.ts';
import {
  documentsOf,
  evaluateTask,
  folderLength,
  loadFolder,
  readDocuments,
  requireTasks,
  taskNames,
} from '../eval/index.ts';
import type { WeightFormat } from '../generate/index.ts';
import { loadModel, roundWeights, weightFormats } from '../generate/index.ts';
import { BraidError } from '../graph/index.ts';
import { writeFileAtomically } from '../models/index.ts';
import { textTable } from '../report/table.ts';
import type { Precision, Run } from '../train/index.ts';
import { isRun, openRun } from '../train/index.ts';
import { count, several } from './arguments.ts';
import { createProgress } from './progress.ts';
import { onInterrupt } from './signals.ts';
import { type NamedTask, namedTasks, questionsFile } from './tasks.ts';

interface Options {
  readonly tasks: readonly NamedTask[];
  readonly docs?: string;
  readonly protocol: Protocol;
  readonly items?: string;
  readonly text?: readonly string[];
  readonly window?: number;
  readonly stride?: number;
  readonly length?: number;
  readonly parts: number;
  readonly lengths?: readonly number[];
  readonly trials: number;
  readonly limit?: number;
  readonly tokenizer?: string;
  readonly precision?: Exclude<Precision, 'float64'>;
  readonly weights?: WeightFormat;
  readonly executor?: 'native' | 'reference';
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('evaluate')
    .description('Measure what a trained model knows: bits per byte, loss by position, multiple choice.')
    .argument('<model>', 'the folder of a run, or a Hugging Face folder (config.json and safetensors)')
    .addOption(
      new Option(
        '--tasks <list>',
        'names, or NAME=FILE for the documents of a task, with commas between them',
      )
        .argParser(namedTasks)
        .default(namedTasks('perplexity'), 'perplexity'),
    )
    .option('--docs <folder>', 'documents of the tasks: NAME.jsonl')
    .addOption(
      new Option('--protocol <name>', 'how questions are scored; flowhn: as its released scripts do')
        .choices(['harness', 'flowhn'])
        .default('harness'),
    )
    .option('--text <file>', 'plain text; once per file (default: the validation text of the run)', several)
    .option('--window <n>', 'most tokens read at once (default: those of training)', count)
    .option('--stride <n>', 'perplexity: tokens by which the window moves (default: half of it)', count)
    .option(
      '--length <n>',
      'positions: tokens read of each document (default: twice those of training)',
      count,
    )
    .option('--parts <n>', 'positions: parts into which they are put', count, 8)
    .option(
      '--lengths <list>',
      'needle: tokens of the prompts (default: those of training, and twice as many)',
      wholeNumbers,
    )
    .option('--trials <n>', 'needle: prompts per length and depth', count, 10)
    .option('--limit <n>', 'only the first documents or questions', count)
    .option('--tokenizer <name>', 'of a Hugging Face folder (default: its tokenizer.json)')
    .addOption(
      new Option('--precision <name>', 'default: that of the run; float32').choices(['bfloat16', 'float32']),
    )
    .addOption(
      new Option('--weights <format>', 'round the weights to few bits first, as generate reads them').choices(
        weightFormats,
      ),
    )
    .option('--executor <name>', 'native or reference')
    .option('--items <file>', 'write what every question got, one JSON object per line')
    .option('--json', 'print the figures as JSON')
    .addHelpText(
      'after',
      `\nTasks: ${taskNames.join(', ')}.\n\nExamples:\n  braid evaluate runs/flowhn-chunks-nano\n` +
        '  braid evaluate runs/mamba1-nano --tasks perplexity,positions --text book.txt --window 512 --stride 128\n' +
        '  braid evaluate runs/llama-135m --tasks piqa,arc_easy,boolq --docs documents --items answers.jsonl\n' +
        '  braid evaluate mamba-130m-hf --text book.txt',
    )
    .action(run);
}

function wholeNumbers(text: string): readonly number[] {
  return text.split(',').map((part) => count(part));
}

type More = Pick<EvaluationSettings, 'signal' | 'onAnswer'>;

/** A model with what its home says about it. */
interface Opened {
  readonly model: EvaluatedModel;
  /** Tokens that it was trained to read at once. */
  readonly length: number;
  readonly run?: Run;
}

async function run(folder: string, options: Options): Promise<void> {
  requireTasks(options.tasks.map(({ name }) => name));
  const opened = await open(folder, options);
  const interruption = onInterrupt('Stopping.');
  const items: string[] = [];
  const more: More = {
    signal: interruption.signal,
    onAnswer: (task, index, answer) => items.push(JSON.stringify({ task: task.name, index, ...answer })),
  };
  try {
    if (options.weights) await roundWeights(opened.model, options.weights, opened.length);
    const results: TaskResult[] = [];
    for (const { name } of options.tasks) results.push(await runTask(name, opened, options, more));
    const { items: path } = options;
    if (path !== undefined) {
      await writeFileAtomically(path, (file) =>
        file.write(Buffer.from(items.map((item) => `${item}\n`).join(''))),
      );
    }
    const json = `${JSON.stringify({ model: folder, ...(options.weights ? { weights: options.weights } : {}), results }, null, 2)}\n`;
    process.stdout.write(options.json ? json : table(results, options.weights));
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    throw new BraidError('interrupted', 'Stopped before all tasks were done.', { cause: error });
  } finally {
    interruption.release();
    opened.model.store.dispose();
  }
}

async function open(folder: string, options: Options): Promise<Opened> {
  const { precision = 'float32', tokenizer, executor: name } = options;
  if (isRun(folder)) {
    const run = openRun(folder);
    if (options.tokenizer !== undefined) {
      throw new BraidError('usage', 'A run has its tokenizer; --tokenizer is for Hugging Face folders.');
    }
    const { executor } = openExecutor({ ...run.config.train, ...(name ? { executor: name } : {}) });
    const model = await loadModel(run, executor, (message) => process.stderr.write(`${message}\n`));
    const chosen = options.precision ?? run.config.train.precision;
    return {
      model: { ...model, precision: chosen, begin: model.tokenizer.separator, beginsContexts: true },
      length: run.config.train.length,
      run,
    };
  }
  if (!existsSync(join(folder, 'config.json'))) {
    throw new BraidError(
      'usage',
      `'${folder}' holds neither a run (config.yaml) nor a Hugging Face model (config.json).`,
    );
  }
  const { executor } = openExecutor({ executor: name ?? 'native', threads: 0, precision });
  const model = await loadFolder(folder, { executor, precision, tokenizer });
  return { model, length: folderLength(folder) };
}

async function runTask(task: string, opened: Opened, options: Options, more: More): Promise<TaskResult> {
  const { window = opened.length, length = 2 * opened.length } = options;
  const progress = createProgress(task);
  try {
    return await evaluateTask(task, opened.model, {
      window,
      stride: options.stride ?? Math.max(1, Math.floor(window / 2)),
      length,
      lengths: options.lengths ?? [opened.length, 2 * opened.length],
      trials: options.trials,
      parts: options.parts,
      limit: options.limit,
      protocol: options.protocol,
      documents: () => texts(opened, options),
      questionsFile: (choice) => questionsFile(choice, options.tasks, options.docs),
      onProgress: (done, total) => progress.update(done, total),
      ...more,
    });
  } finally {
    progress.finish();
  }
}

function texts({ model, run }: Opened, { text }: Options): readonly Document[] {
  if (text === undefined && run === undefined) {
    throw new BraidError('usage', 'A Hugging Face folder has no text of its own. Give one with --text FILE.');
  }
  if (text || !run) return readDocuments(textCorpus(text ?? []).documents, model.tokenizer);
  return documentsOf(loadText(run.config.data).validation, model.tokenizer);
}

function table(results: readonly TaskResult[], weights: WeightFormat | undefined): string {
  const rows = results.flatMap(({ task, examples, figures }) =>
    figures.map(({ metric, value, standardError, chance }, index) => [
      index === 0 ? task : '',
      metric,
      value.toFixed(4),
      standardError === undefined ? '' : `± ${standardError.toFixed(4)}`,
      chance === undefined ? '' : chance.toFixed(4),
      index === 0 ? String(examples) : '',
    ]),
  );
  const right = { align: 'right' } as const;
  const columns = [
    { title: 'task' },
    { title: 'metric' },
    { title: 'value', ...right },
    { title: 'standard error', ...right },
    { title: 'chance', ...right },
    { title: 'examples', ...right },
  ];
  const notes = [
    ...(weights ? [`Weights rounded to ${weights} first, as generate reads them.`] : []),
    ...results.flatMap(({ task, notes }) => notes.map((note) => `${task}: ${note}`)),
  ];
  return `${textTable(columns, rows)}\n\n${notes.join('\n')}\n`;
}
