/** `braid train`: a new run, or an old one resumed. */
import { join } from 'node:path';
import { Command } from 'commander';
import { isaOf, openExecutor, openSession } from '../bench/session.ts';
import { loadText, type Text, type TextChoice } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import { formatCount } from '../report/format.ts';
import {
  createRun,
  describeEnvironment,
  lockRun,
  openRun,
  type Run,
  resume,
  settle,
  trainRun,
  writeEnvironment,
} from '../train/index.ts';
import { several } from './arguments.ts';
import { INTERRUPTED } from './failure.ts';
import { createProgress } from './progress.ts';
import { checkVocabulary, readSettings } from './settings.ts';
import { onInterrupt } from './signals.ts';

interface Options {
  readonly out?: string;
  readonly text?: readonly string[];
  readonly steps?: string;
  readonly resume?: string;
  readonly executor?: string;
  readonly precision?: string;
  readonly until?: string;
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('train')
    .description('Train a model into the folder of a run, or resume a run where it stands.')
    .argument('[model]', 'a preset, or a YAML file of a model or a whole run')
    .argument('[overrides...]', 'values of the configuration, as path.to.key=value')
    .option('-o, --out <folder>', 'the folder of the run (default: runs/<model>)')
    .option(
      '--text <file>',
      'plain text to train on (default: the Brown corpus); may be given again',
      several,
    )
    .option('--steps <n>', 'optimizer steps, the same as train.steps=N')
    .option('--resume <folder>', 'go on with a run')
    .option('--until <step>', 'stop after this step, and save')
    .option('--executor <name>', 'native or reference')
    .option('--precision <name>', 'bfloat16, float32, or float64 (reference only)')
    .option('--json', 'print the last figures as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  braid train flowhn-chunks-nano --text book.txt --steps 500\n' +
        '  braid train model.yaml train.batch=8 train.learningRate=0.002\n' +
        '  braid train --resume runs/flowhn-chunks-nano\n' +
        '  braid train llama-nano data.shards=shards train.steps=500',
    )
    .action(async (model: string | undefined, overrides: string[], options: Options) => {
      const { run, text } =
        options.resume === undefined ? await begin(model, overrides, options) : again(model, options);
      await work(run, text, options);
    });
}

interface Opened {
  readonly run: Run;
  readonly text: Text;
}

async function begin(model: string | undefined, overrides: string[], options: Options): Promise<Opened> {
  if (model === undefined) {
    throw new BraidError(
      'usage',
      "Name a preset or a configuration file, or give --resume FOLDER. 'braid presets' lists the presets.",
    );
  }
  const config = readSettings(model, {
    ...(options.text ? { text: options.text } : {}),
    overrides: [
      ...(options.steps === undefined ? [] : [`train.steps=${options.steps}`]),
      ...(options.executor === undefined ? [] : [`train.executor=${options.executor}`]),
      ...(options.precision === undefined ? [] : [`train.precision=${options.precision}`]),
      ...overrides,
    ],
  });
  checkVocabulary(config);
  const { executor, machine } = openExecutor(config.train);
  const folder = options.out ?? join('runs', config.model.name ?? 'model');
  // A text that cannot be read is found before a folder is made.
  const text = openText(config.data);
  const tell = (message: string): void => void process.stderr.write(`${message}\n`);
  return { run: await createRun(folder, await settle(config, { executor, machine, tell })), text };
}

function again(model: string | undefined, options: Options): Opened {
  if (
    model !== undefined ||
    options.out !== undefined ||
    options.steps !== undefined ||
    options.text !== undefined
  ) {
    throw new BraidError(
      'usage',
      'A resumed run keeps its configuration: give --resume FOLDER without a model, overrides, --out, --steps or --text.',
    );
  }
  const run = openRun(options.resume ?? '');
  return { run, text: openText(run.config.data) };
}

/** Bytes of shards that take longer to read than one likes to look at nothing. */
const worthALine = 500e6;

/** Shards are compared with their checksums first, which takes a while when there are many. */
function openText(data: TextChoice): Text {
  const progress = createProgress('checking shards, MB');
  try {
    return loadText(data, (bytes, total) => {
      if (total >= worthALine) progress.update(Math.ceil(bytes / 1e6), Math.ceil(total / 1e6));
    });
  } finally {
    progress.finish();
  }
}

async function work(run: Run, text: Text, options: Options): Promise<void> {
  const unlock = lockRun(run);
  try {
    await trainFrom(run, text, options);
  } finally {
    unlock();
  }
}

async function trainFrom(run: Run, text: Text, options: Options): Promise<void> {
  const { train } = run.config;
  const { executor } = openExecutor(train);
  const session = openSession(run.config, executor, text);
  const interruption = onInterrupt('Stopping after this step, and saving.');
  const progress = createProgress(run.config.model.name ?? 'model');
  try {
    const from = await resume(run, session.trainer, (message) => process.stderr.write(`${message}\n`));
    await writeEnvironment(run.folder, describeEnvironment(executor, train.precision, isaOf(executor)));
    if (from > 0) process.stderr.write(`Going on from step ${from}.\n`);
    const outcome = await trainRun(run, session.trainer, {
      signal: interruption.signal,
      ...(options.until === undefined ? {} : { until: stepNumber(options.until) }),
      validate: () => session.validate(),
      onStep: (metrics) =>
        progress.update(
          metrics.step,
          train.steps,
          `loss ${metrics.loss.toFixed(3)}  ${formatCount(metrics.tokensPerSecond)} tokens/s`,
        ),
    });
    progress.finish();
    finish(run, outcome, options.json === true);
  } finally {
    progress.finish();
    interruption.release();
    session.dispose();
  }
}

function stepNumber(text: string): number {
  const step = Number(text);
  if (!Number.isInteger(step) || step < 1) {
    throw new BraidError('usage', `--until takes a step, a whole number of at least 1; given '${text}'.`);
  }
  return step;
}

function finish(run: Run, outcome: Awaited<ReturnType<typeof trainRun>>, json: boolean): void {
  const last = run.metrics.read().at(-1);
  if (outcome.end === 'interrupted') {
    process.stderr.write(`Stopped at step ${outcome.step}. Go on with: braid train --resume ${run.folder}\n`);
    process.exitCode = INTERRUPTED;
  }
  if (json) {
    process.stdout.write(`${JSON.stringify({ folder: run.folder, ...outcome, metrics: last }, null, 2)}\n`);
    return;
  }
  if (outcome.end === 'interrupted') return;
  const validation = last?.validation
    ? `, validation ${last.validation.bitsPerByte.toFixed(3)} bits per byte`
    : '';
  const loss = last ? `, loss ${last.loss.toFixed(3)}` : '';
  process.stdout.write(`Step ${outcome.step}${loss}${validation}. The run is in ${run.folder}.\n`);
  if (outcome.end === 'stopped') {
    process.stdout.write(`Go on with: braid train --resume ${run.folder}\n`);
  }
}
