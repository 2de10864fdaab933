/** One cell of a comparison: a run that is trained (or gone on with), measured, and remembered with its figures. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { peakMemory, resetPeakMemory } from '../bench/memory.ts';
import { isaOf, openSession } from '../bench/session.ts';
import type { Text } from '../data/index.ts';
import type { TaskResult } from '../eval/index.ts';
import { documentsOf, evaluateTask } from '../eval/index.ts';
import { BraidError } from '../graph/index.ts';
import { parseJson, readText, writeFileAtomically } from '../models/index.ts';
import type { Executor, Store } from '../runtime/index.ts';
import type { FrozenRunConfig, Run, StepMetrics } from '../train/index.ts';
import {
  createRun,
  describeEnvironment,
  isRun,
  lockRun,
  openRun,
  resume,
  tokensPerStep,
  trainRun,
  writeEnvironment,
} from '../train/index.ts';
import type { Cell } from './design.ts';
import type { ContextLoss, DocumentLosses } from './documentLosses.ts';
import { measureDocuments, measuringSettings } from './documentLosses.ts';

/** What a cell is asked for beside its loss on the documents. */
export interface Measuring {
  /** Length of the windows that the loss is measured on; that of training unless given. */
  readonly length?: number;
  /** Tasks of questions, each with the file of its documents. */
  readonly tasks?: readonly { readonly name: string; readonly file: string }[];
  /** Most questions of a task, from the first. */
  readonly questions?: number;
  /** Look for a needle in prompts of these lengths, so often at each depth. */
  readonly needle?: { readonly lengths: readonly number[]; readonly trials: number };
}

/** One point of a training curve; `seconds` counts training steps only. */
export interface CurvePoint {
  readonly step: number;
  readonly tokens: number;
  readonly flops: number;
  readonly seconds: number;
  readonly loss: number;
}

/** A validation while training, on what `train.validateRows` leaves of the validation text. */
export interface ValidationPoint extends Omit<CurvePoint, 'loss'> {
  readonly bitsPerByte: number;
}

export interface CellResult {
  /** On which text and with what it was measured: figures of something else are measured again. */
  readonly asked: string;
  readonly row: string;
  readonly seed: number;
  readonly learningRate: number;
  readonly steps: number;
  readonly tokens: number;
  readonly flops: number;
  readonly flopsPerStep: number;
  readonly trainingSeconds: number;
  /** Seconds of each step but the first two, which touch fresh memory. */
  readonly stepSeconds: readonly number[];
  readonly laneBalances: readonly number[];
  readonly peakMemoryBytes: number | null;
  /** Mean loss in nats per token over the last tenth of the steps. */
  readonly trainingLoss: number;
  /** Nats on each validation document. */
  readonly nats: readonly number[];
  readonly contexts: readonly ContextLoss[];
  /** One result for each task asked for. */
  readonly tasks: readonly TaskResult[];
  /** Means over a hundred pieces of the run. */
  readonly curve: readonly CurvePoint[];
  /** Absent unless `train.validateEvery` asks for it. */
  readonly validations?: readonly ValidationPoint[];
}

export interface CellHooks {
  readonly signal?: AbortSignal;
  readonly onStep?: (metrics: StepMetrics, steps: number) => void;
  readonly warn: (message: string) => void;
}

const file = 'measured.json';

/** Trains and measures a cell; one that was finished before is read. Aborted, it saves and throws `interrupted`. */
export async function runCell(
  cell: Cell,
  folder: string,
  executor: Executor,
  text: Text,
  measuring: Measuring,
  hooks: CellHooks,
): Promise<CellResult> {
  const own = join(folder, cell.folder);
  const run = await openOrCreate(own, cell.config);
  const known = readMeasured(join(own, file));
  // Figures of another text, or of other questions, are not those that were asked for.
  const asked = JSON.stringify([text.train.fingerprint, text.validation.fingerprint, measuring]);
  if (known?.asked === asked) return known;
  const unlock = lockRun(run);
  try {
    return await trainAndMeasure({ cell, run, executor, text, measuring, hooks, asked, known });
  } finally {
    unlock();
  }
}

interface CellWork {
  readonly cell: Cell;
  readonly run: Run;
  readonly executor: Executor;
  readonly text: Text;
  readonly measuring: Measuring;
  readonly hooks: CellHooks;
  readonly asked: string;
  /** Figures of something else. */
  readonly known: CellResult | undefined;
}

async function trainAndMeasure(work: CellWork): Promise<CellResult> {
  const { cell, run, executor, text, measuring, hooks, asked, known } = work;
  const counted = resetPeakMemory();
  const session = openSession(run.config, executor, text);
  const { trainer } = session;
  try {
    const { precision } = run.config.train;
    await resume(run, trainer, hooks.warn);
    await writeEnvironment(run.folder, describeEnvironment(executor, precision, isaOf(executor)));
    const outcome = await trainRun(run, trainer, {
      ...(hooks.signal ? { signal: hooks.signal } : {}),
      ...(run.config.train.validateEvery > 0 ? { validate: () => session.validate() } : {}),
      onStep: (metrics) => hooks.onStep?.(metrics, run.config.train.steps),
    });
    if (outcome.end !== 'finished') throw interrupted(cell, outcome.step);
    // A run that is only measured again tells nothing of the memory of its training.
    const memory = known ? known.peakMemoryBytes : counted ? peakMemory() : null;
    const result = {
      asked,
      ...summarize(run, cell, trainer.programs.flopsPerStep),
      peakMemoryBytes: memory,
      ...(await measure(run.config, executor, trainer.store, text, measuring, hooks)),
    };
    await writeFileAtomically(join(run.folder, file), (handle) =>
      handle.write(Buffer.from(JSON.stringify(result))),
    );
    return result;
  } catch (error) {
    if (!hooks.signal?.aborted || error instanceof BraidError) throw error;
    throw interrupted(cell, trainer.progress.step);
  } finally {
    session.dispose();
  }
}

async function measure(
  { model, train }: FrozenRunConfig,
  executor: Executor,
  store: Store,
  text: Text,
  { length = train.length, tasks = [], questions, needle }: Measuring,
  { signal }: CellHooks,
): Promise<DocumentLosses & Pick<CellResult, 'tasks'>> {
  const { precision, threads } = train;
  const settings = measuringSettings(train, length);
  const losses = await measureDocuments(model, settings, text, executor, store, signal);
  const { tokenizer } = text;
  const begin = tokenizer.separator;
  const evaluated = { model, precision, threads, executor, store, tokenizer, begin, beginsContexts: true };
  const ask = (name: string, questionsFile: string): Promise<TaskResult> =>
    evaluateTask(name, evaluated, {
      ...{ window: train.length, stride: train.length, length: train.length, parts: 1 },
      ...(needle ?? { lengths: [], trials: 1 }),
      limit: questions,
      protocol: 'harness',
      documents: () => documentsOf(text.validation, tokenizer),
      questionsFile: () => questionsFile,
      ...(signal ? { signal } : {}),
    });
  const results: TaskResult[] = [];
  for (const task of tasks) results.push(await ask(task.name, task.file));
  if (needle) results.push(await ask('needle', ''));
  return { ...losses, tasks: results };
}

function interrupted({ folder }: Cell, step: number): BraidError {
  return new BraidError(
    'interrupted',
    `Stopped in '${folder}' at step ${step}. The same command goes on from there.`,
  );
}

function readMeasured(path: string): CellResult | undefined {
  if (!existsSync(path)) return undefined;
  const message = `'${path}' is damaged. Remove it: the run is measured again.`;
  return parseJson(readText(path), 'file', message) as CellResult;
}

/** A comparison that is started again must be the same one: other settings are an error, not a mixture. */
async function openOrCreate(folder: string, config: FrozenRunConfig): Promise<Run> {
  if (!isRun(folder)) return createRun(folder, config);
  const run = openRun(folder);
  if (sameSettings(run.config.train, config.train) && sameSettings(run.config.model, config.model))
    return run;
  throw new BraidError(
    'usage',
    `'${folder}' holds a run with other settings. Choose another folder with --out, or remove that one.`,
  );
}

/** Key order does not matter, nor do values that are not set. */
function sameSettings(a: unknown, b: unknown): boolean {
  const sorted = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value)
          .filter(([, part]) => part !== undefined)
          .sort(([x], [y]) => (x < y ? -1 : 1))
          .map(([key, part]) => [key, sorted(part)])
      : value;
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function summarize(run: Run, { row, seed, learningRate }: Cell, flopsPerStep: number) {
  const metrics = run.metrics.read();
  const last = metrics.at(-1);
  if (!last) throw new BraidError('data', `The run '${run.folder}' has no steps to compare.`);
  const tokens = tokensPerStep(run.config.train);
  const typical = metrics.slice(Math.min(2, metrics.length - 1));
  const tail = metrics.slice(-Math.max(1, Math.round(metrics.length / 10)));
  return {
    row,
    seed,
    learningRate,
    steps: last.step,
    tokens: last.tokens,
    flops: last.flops,
    flopsPerStep,
    trainingSeconds: last.seconds,
    stepSeconds: typical.map(({ tokensPerSecond }) => tokens / tokensPerSecond),
    laneBalances: typical.flatMap(({ laneBalance }) => (laneBalance === undefined ? [] : [laneBalance])),
    trainingLoss: tail.reduce((sum, { loss }) => sum + loss, 0) / tail.length,
    curve: smooth(metrics, 100),
    ...(run.config.train.validateEvery > 0 ? { validations: metrics.flatMap(validationOf) } : {}),
  };
}

function validationOf({ step, tokens, flops, seconds, validation }: StepMetrics): ValidationPoint[] {
  return validation ? [{ step, tokens, flops, seconds, bitsPerByte: validation.bitsPerByte }] : [];
}

/** Means of the loss over equal pieces of a run. */
function smooth(metrics: readonly StepMetrics[], pieces: number): CurvePoint[] {
  const size = Math.max(1, Math.ceil(metrics.length / pieces));
  const points: CurvePoint[] = [];
  for (let start = 0; start < metrics.length; start += size) {
    const piece = metrics.slice(start, start + size);
    const { step, tokens, flops, seconds } = piece[piece.length - 1];
    const loss = piece.reduce((sum, one) => sum + one.loss, 0) / piece.length;
    points.push({ step, tokens, flops, seconds, loss });
  }
  return points;
}
