/** `braid synthetic`: trains small models from nothing on tasks that show one ability each. */

import { existsSync, readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { openExecutor } from '../bench/session.ts';
import { threadCount } from '../bench/threadCount.ts';
import type { LearnCost, Learned, PlannedRun, SyntheticPlan } from '../eval/index.ts';
import {
  costOfPlan,
  planSynthetic,
  protocols,
  runKey,
  runSynthetic,
  summarize,
  syntheticKinds,
} from '../eval/index.ts';
import { BraidError } from '../graph/index.ts';
import type { ModelConfig } from '../models/index.ts';
import { applyOverrides, parseModelConfig, presets, writeFileAtomically } from '../models/index.ts';
import { formatCount, formatDuration } from '../report/format.ts';
import { textTable } from '../report/table.ts';
import type { TrainConfig } from '../train/index.ts';
import { count, number } from './arguments.ts';
import { createProgress } from './progress.ts';
import { readSettings } from './settings.ts';
import { onInterrupt } from './signals.ts';

interface Options {
  readonly batch?: number;
  readonly epochs?: number;
  readonly rates?: readonly number[];
  readonly decays?: readonly number[];
  readonly warmup: number;
  readonly stop?: number;
  readonly seeds: number;
  readonly lengths?: readonly number[];
  readonly precision: 'auto' | 'bfloat16' | 'float32';
  readonly executor: TrainConfig['executor'];
  readonly out?: string;
  readonly cost?: boolean;
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('synthetic')
    .description('Train small models on synthetic tasks: recall, memory, copying, needles.')
    .argument('<task>', 'NAME:setting=value,…, or a protocol')
    .argument('<models...>', "patterns, presets or YAML files; values as 'model.path.to.key=value'")
    .option('--batch <n>', 'rows in a step (default: those of the protocol; 64)', count)
    .option('--epochs <n>', 'most passes over the rows (default: those of the protocol; 20)', count)
    .option(
      '--rates <list>',
      'peaks of the learning rate, each a run (default: those of the protocol; 0.001)',
      numbers,
    )
    .option('--decays <list>', 'weight decays, each a run (default: those of the protocol; 0.1)', numbers)
    .option('--warmup <n>', 'steps in which the rate rises', number, 0)
    .option('--stop <share>', 'accuracy that ends a run (default: that of the protocol; 0.99)', number)
    .option('--seeds <n>', 'runs with other seeds', count, 1)
    .option('--lengths <list>', 'test at these lengths too', numbers)
    .addOption(
      new Option('--precision <name>', 'bfloat16 or float32')
        .choices(['auto', 'bfloat16', 'float32'])
        .default('auto'),
    )
    .addOption(
      new Option('--executor <name>', 'native or reference')
        .choices(['native', 'reference'])
        .default('native'),
    )
    .option(
      '-o, --out <file>',
      'keep what is found, one JSON object per line; runs that are there are not done again',
    )
    .option('--cost', 'say what it would cost, and stop')
    .option('--json', 'print the figures as JSON')
    .addHelpText('after', help())
    .action(run);
}

function help(): string {
  const rows = syntheticKinds.map(({ name, summary, defaults }) => {
    const settings = Object.entries(defaults).map(([key, value]) => `${key}=${value}`);
    return `  ${name}: ${summary}\n    ${settings.join(',')}`;
  });
  const whole = protocols.map(({ name, summary }) => `  ${name}: ${summary}`);
  return (
    `\nTasks, with the settings they have unless others are given:\n${rows.join('\n')}\n\nProtocols:\n${whole.join('\n')}\n\n` +
    "Examples:\n  braid synthetic mqar:vocabulary=512,length=128,pairs=32 'attention*2' 'mamba1*2' model.width=64 model.attention.rope={}\n" +
    "  braid synthetic mad 'mamba2+mlp*2' --cost"
  );
}

function numbers(text: string): readonly number[] {
  const values = text.split(',').map(Number);
  if (text.trim() !== '' && values.every(Number.isFinite)) return values;
  throw new InvalidArgumentError('Give numbers with commas between them.');
}

async function run(task: string, given: readonly string[], options: Options): Promise<void> {
  const overrides = given.filter((argument) => /^\s*\w[\w.[\]]*=/.test(argument));
  const sources = given.filter((argument) => !overrides.includes(argument));
  if (sources.length === 0) {
    throw new BraidError(
      'usage',
      "Name a model: a pattern such as 'attention+mlp*2', a preset or a YAML file.",
    );
  }
  const settings = { executor: options.executor, threads: 0, precision: options.precision };
  const { executor, machine } = openExecutor(settings);
  const automatic = options.executor === 'native' && machine.bfloat16 ? 'bfloat16' : 'float32';
  const plan = planSynthetic(task, {
    models: sources.map((source) => ({
      name: source,
      config: (vocabulary) => model(source, overrides, vocabulary),
    })),
    ...options,
    precision: options.precision === 'auto' ? automatic : options.precision,
    executor,
  });
  const interruption = onInterrupt('Stopping.');
  try {
    const { signal } = interruption;
    const found = new Map<string, Learned>(readKept(options.out));
    const left = { ...plan, runs: plan.runs.filter((one) => !found.has(runKey(one, plan))) };
    const cost = await costOfPlan(left, signal);
    process.stderr.write(`${describe(left, cost)}\n`);
    if (options.cost) {
      if (options.json)
        process.stdout.write(`${JSON.stringify({ runs: left.runs.length, ...cost }, null, 2)}\n`);
      return;
    }
    await runAll(left, found, options.out, signal);
    const summary = summarize(plan, found);
    process.stdout.write(
      options.json ? `${JSON.stringify(summary, null, 2)}\n` : table(plan, found, summary),
    );
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    const kept =
      options.out === undefined ? '' : ` What was found is in ${options.out}; the same command goes on.`;
    throw new BraidError('interrupted', `Stopped before all runs were done.${kept}`, { cause: error });
  } finally {
    interruption.release();
  }
}

/** A pattern at a width of 128 unless told otherwise; presets and files keep what they say but the vocabulary. */
function model(source: string, overrides: readonly string[], vocabulary: number): ModelConfig {
  const changes = [...overrides, `model.vocabulary=${vocabulary}`];
  const named =
    presets.some(({ name }) => name === source) || /\.(ya?ml|json)$/.test(source) || existsSync(source);
  if (named) return readSettings(source, { overrides: changes, steps: 1 }).model;
  const foreign = overrides.find((override) => !override.trim().startsWith('model.'));
  if (foreign !== undefined) {
    throw new BraidError(
      'usage',
      `'${foreign}' is not a value of the model; for one of them write 'model.${foreign}'.`,
    );
  }
  const { value } = applyOverrides({ model: { pattern: source, width: 128 } }, changes);
  return parseModelConfig((value as { model: unknown }).model, `The model '${source}'`);
}

function describe({ runs, executor, precision }: SyntheticPlan, cost: LearnCost): string {
  return (
    `At most ${runs.length} ${runs.length === 1 ? 'run' : 'runs'}, ${formatCount(cost.steps)} steps, ${cost.flops.toExponential(1)} FLOPs of training; ` +
    `about ${formatTime(cost.seconds)} without tests (${threadCount(executor.threads)}, ${precision}).`
  );
}

function formatTime(seconds: number): string {
  const days = seconds / 86_400;
  return days < 2 ? formatDuration(seconds) : `${days.toFixed(0)} days`;
}

/** Runs all of a plan, and keeps each result beside those that were found before as soon as it is there. */
async function runAll(
  plan: SyntheticPlan,
  found: Map<string, Learned>,
  out: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (const planned of plan.runs) {
    const progress = createProgress(`${planned.model.name}  ${planned.task.name}`);
    try {
      const learned = await runSynthetic(plan, planned, {
        signal,
        onStep: ({ step, steps, loss, accuracy }) =>
          progress.update(
            step,
            steps,
            `loss ${loss.toFixed(3)}${accuracy === undefined ? '' : `  accuracy ${(100 * accuracy).toFixed(1)} %`}`,
          ),
      });
      found.set(runKey(planned, plan), learned);
    } finally {
      progress.finish();
    }
    if (out !== undefined) {
      const lines = [...found].map(([run, result]) => `${JSON.stringify({ run, result })}\n`);
      await writeFileAtomically(out, (file) => file.write(Buffer.from(lines.join(''))));
    }
  }
}

/** The results that a file of an earlier call keeps, by the keys of their runs. */
function readKept(path: string | undefined): [string, Learned][] {
  if (path === undefined || !existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line, index): [string, Learned][] => {
      if (line === '') return [];
      try {
        const { run, result } = JSON.parse(line) as { run: string; result: Learned };
        return [[run, result]];
      } catch (cause) {
        throw new BraidError(
          'data',
          `'${path}', line ${index + 1} is not what this command writes. Choose another --out.`,
          {
            cause,
          },
        );
      }
    });
}

const percent = (share: number): string => (100 * share).toFixed(1);

function table(
  plan: SyntheticPlan,
  found: ReadonlyMap<string, Learned>,
  { protocol }: ReturnType<typeof summarize>,
): string {
  const right = { align: 'right' } as const;
  const columns = [
    { title: 'model' },
    { title: 'task' },
    { title: 'rate', ...right },
    { title: 'decay', ...right },
    { title: 'seed', ...right },
    { title: 'accuracy %', ...right },
    { title: 'macro %', ...right },
    { title: 'steps', ...right },
    { title: 'time', ...right },
  ];
  const rows = plan.runs.flatMap((planned) => {
    const learned = found.get(runKey(planned, plan));
    return learned ? resultRows(planned, learned) : [];
  });
  const scores = protocol.map(
    ({ model, tasks, score }) =>
      `${model}: score ${percent(score)} (${Object.entries(tasks)
        .map(([task, value]) => `${task} ${percent(value)}`)
        .join(', ')})`,
  );
  return `${textTable(columns, rows)}\n${scores.length > 0 ? `\n${scores.join('\n')}\n` : ''}`;
}

/** The run, and below it what it reached by group and at other lengths. */
function resultRows({ model, task, rate, decay, seed }: PlannedRun, learned: Learned): string[][] {
  const { accuracy, macro, steps, seconds, stopped, groups, lengths } = learned;
  const more = Object.entries({ ...groups, ...lengths });
  return [
    [
      model.name,
      task.name,
      String(rate),
      String(decay),
      String(seed),
      percent(accuracy),
      percent(macro),
      `${steps}${stopped ? ' (passed)' : ''}`,
      formatDuration(seconds),
    ],
    ...more.map(([name, share]) => ['', `  ${name}`, '', '', '', percent(share), '', '', '']),
  ];
}
