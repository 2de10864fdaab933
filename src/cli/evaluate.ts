/** `braid evaluate`: what a trained model knows: of a text, and of tasks. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { openExecutor } from '../bench/session.ts';
import { findTokenizer, loadText, textCorpus } from '../data/index.ts';
import type { Document, EvaluatedModel, TaskResult } from '../eval/index.ts';
import {
  documentsOf,
  folderLength,
  loadFolder,
  readDocuments,
  scorePositions,
  scoreText,
} from '../eval/index.ts';
import { loadModel } from '../generate/index.ts';
import { BraidError } from '../graph/index.ts';
import { textTable } from '../report/table.ts';
import type { Precision, Run } from '../train/index.ts';
import { isRun, openRun } from '../train/index.ts';
import { count, several } from './arguments.ts';
import { createProgress } from './progress.ts';
import { onInterrupt } from './signals.ts';

interface Options {
  readonly tasks: readonly string[];
  readonly text?: readonly string[];
  readonly window?: number;
  readonly stride?: number;
  readonly length?: number;
  readonly parts: number;
  readonly limit?: number;
  readonly tokenizer?: string;
  readonly precision?: Exclude<Precision, 'float64'>;
  readonly executor?: 'native' | 'reference';
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('evaluate')
    .description('Measure what a trained model knows: bits per byte, the loss by position.')
    .argument('<model>', 'the folder of a run, or a Hugging Face folder (config.json and safetensors)')
    .addOption(
      new Option('--tasks <list>', 'perplexity, positions; several with commas between them')
        .argParser((text) => text.split(',').map((task) => task.trim()))
        .default(['perplexity'], 'perplexity'),
    )
    .option('--text <file>', 'plain text; once per file (default: the validation text of the run)', several)
    .option('--window <n>', 'perplexity: most tokens read at once (default: those of training)', count)
    .option('--stride <n>', 'perplexity: tokens by which the window moves (default: half of it)', count)
    .option(
      '--length <n>',
      'positions: tokens read of each document (default: twice those of training)',
      count,
    )
    .option('--parts <n>', 'positions: parts into which they are put', count, 8)
    .option('--limit <n>', 'only the first documents', count)
    .option('--tokenizer <name>', 'of a Hugging Face folder')
    .addOption(
      new Option('--precision <name>', 'default: that of the run; float32').choices(['bfloat16', 'float32']),
    )
    .option('--executor <name>', 'native or reference')
    .option('--json', 'print the figures as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  braid evaluate runs/flowhn-chunks-nano\n' +
        '  braid evaluate runs/mamba1-nano --tasks perplexity,positions --text book.txt --window 512 --stride 128\n' +
        '  braid evaluate mamba-130m-hf --tokenizer bytes --text book.txt',
    )
    .action(run);
}

/** A model with what its home says about it. */
interface Opened {
  readonly model: EvaluatedModel;
  /** Tokens that it was trained to read at once. */
  readonly length: number;
  readonly run?: Run;
}

async function run(folder: string, options: Options): Promise<void> {
  const opened = await open(folder, options);
  const interruption = onInterrupt('Stopping.');
  try {
    const results: TaskResult[] = [];
    for (const task of options.tasks) {
      results.push(await runTask(task, opened, options, interruption.signal));
    }
    process.stdout.write(
      options.json ? `${JSON.stringify({ model: folder, results }, null, 2)}\n` : table(results),
    );
  } finally {
    interruption.release();
    opened.model.store.dispose();
  }
}

async function open(folder: string, options: Options): Promise<Opened> {
  const { precision = 'float32', tokenizer = 'none', executor: name } = options;
  if (isRun(folder)) {
    const run = openRun(folder);
    if (options.tokenizer !== undefined) {
      throw new BraidError('usage', 'A run has its tokenizer; --tokenizer is for Hugging Face folders.');
    }
    const { executor } = openExecutor({ ...run.config.train, ...(name ? { executor: name } : {}) });
    const model = await loadModel(run, executor, (message) => process.stderr.write(`${message}\n`));
    const chosen = options.precision ?? run.config.train.precision;
    return { model: { ...model, precision: chosen }, length: run.config.train.length, run };
  }
  if (!existsSync(join(folder, 'config.json'))) {
    throw new BraidError(
      'usage',
      `'${folder}' holds neither a run (config.yaml) nor a Hugging Face model (config.json).`,
    );
  }
  const { executor } = openExecutor({ executor: name ?? 'native', threads: 0, precision });
  const model = await loadFolder(folder, { executor, precision, tokenizer: findTokenizer(tokenizer) });
  return { model, length: folderLength(folder) };
}

async function runTask(
  task: string,
  opened: Opened,
  options: Options,
  signal: AbortSignal,
): Promise<TaskResult> {
  const progress = createProgress(task);
  const common = { signal, onProgress: (done: number, total: number) => progress.update(done, total) };
  const { model } = opened;
  try {
    if (task === 'perplexity') {
      const { window = opened.length } = options;
      const stride = options.stride ?? Math.max(1, Math.floor(window / 2));
      const score = await scoreText(model, texts(opened, options), { ...common, window, stride });
      return {
        task,
        examples: score.documents,
        figures: [
          { metric: 'bits per byte', value: score.bitsPerByte },
          { metric: 'perplexity per token', value: score.perplexity },
        ],
        notes: [
          `${score.tokens} tokens, ${score.bytes} bytes; window ${window}, stride ${stride}; ends of documents not counted`,
        ],
      };
    }
    if (task === 'positions') {
      const { length = 2 * opened.length, parts } = options;
      const score = await scorePositions(model, texts(opened, options), { ...common, length, parts });
      return {
        task,
        examples: score.documents,
        figures: score.parts.map(({ begin, end, loss }) => ({
          metric: `loss of ${begin} to ${end - 1}`,
          value: loss,
        })),
        notes: [`nats per token; trained at ${opened.length} tokens`],
      };
    }
    throw new BraidError('usage', `There is no task '${task}'. Known: perplexity, positions.`);
  } finally {
    progress.finish();
  }
}

function texts({ model, run }: Opened, { text, limit }: Options): readonly Document[] {
  if (text === undefined && run === undefined) {
    throw new BraidError('usage', 'A Hugging Face folder has no text of its own. Give one with --text FILE.');
  }
  const documents =
    text || !run
      ? readDocuments(textCorpus(text ?? []).documents, model.tokenizer)
      : documentsOf(loadText(run.config.data).validation, model.tokenizer);
  return limit === undefined ? documents : documents.slice(0, limit);
}

function table(results: readonly TaskResult[]): string {
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
  const notes = results.flatMap(({ task, notes }) => notes.map((note) => `${task}: ${note}`));
  return `${textTable(columns, rows)}\n\n${notes.join('\n')}\n`;
}
