/**
 * A comparison from its design to its figures: step times, then every cell, one after the other, then the statistics. It
 * may be stopped at any time; the same call goes on where it stopped.
 */
import { mkdirSync } from 'node:fs';
import { betterPeak, measurePeak } from '../bench/peak.ts';
import type { Peak } from '../bench/results.ts';
import { isaOf, openExecutor } from '../bench/session.ts';
import type { Text } from '../data/index.ts';
import { loadText } from '../data/index.ts';
import { fileError } from '../models/atomicFile.ts';
import type { Executor } from '../runtime/index.ts';
import type { MachineDefaults, StepMetrics, TrainConfig } from '../train/index.ts';
import { describeEnvironment, freezeTrain, settle, tokensPerStep } from '../train/index.ts';
import type { CellResult, Measuring } from './cell.ts';
import { runCell } from './cell.ts';
import type { Cell, Design, Row } from './design.ts';
import { cellOf, checkDesign, ratesOf, rowCost, runsPerRow, stepsOf } from './design.ts';
import { documentBytes } from './documentLosses.ts';
import type { ComparisonResult, MeasuredRow } from './results.ts';
import { summarizeComparison, tuningDocuments } from './results.ts';
import { measureSpeeds } from './speed.ts';

/** A design whose machine-dependent values are still open. */
export type OpenDesign = Omit<Design, 'train'> & { readonly train: TrainConfig };

/** What is known before the first cell starts. */
export interface Forecast {
  readonly rows: readonly { readonly name: string; readonly steps: number; readonly tokens: number }[];
  readonly runs: number;
  /** Seconds of training of all runs; undefined where step times were not measured. */
  readonly seconds?: number;
}

export interface ComparisonOptions {
  readonly name: string;
  readonly folder: string;
  /** Where step times are kept; the folder unless given, so that comparisons of the same models may share them. */
  readonly speeds?: string;
  readonly measuring?: Measuring;
  readonly signal?: AbortSignal;
  readonly warn: (message: string) => void;
  readonly onSpeed?: (done: number, total: number) => void;
  readonly onForecast?: (forecast: Forecast) => void;
  readonly onStep?: (cell: Cell, metrics: StepMetrics, steps: number) => void;
  readonly onCell?: (cell: Cell, result: CellResult) => void;
}

/** Nothing is left to the machine: shares of branches that are to be balanced by time are measured. */
async function freezeDesign(
  open: OpenDesign,
  executor: Executor,
  machine: MachineDefaults,
  tell: (message: string) => void,
): Promise<Design> {
  const train = freezeTrain(open.train, machine);
  const rows: Row[] = [];
  for (const row of open.rows) {
    const { model } = await settle({ model: row.model, data: open.data, train }, { executor, machine, tell });
    rows.push({ ...row, model });
  }
  return { ...open, train, rows };
}

/** Trains and measures all cells. Aborted, it saves and throws `BraidError('interrupted')`. */
export async function runComparison(open: OpenDesign, options: ComparisonOptions): Promise<ComparisonResult> {
  const { executor, machine } = openExecutor(open.train);
  const design = await freezeDesign(open, executor, machine, options.warn);
  checkDesign(design);
  makeFolder(options.folder);
  const text = loadText(design.data);
  const before = await peakOf(executor, design);
  const steps = await planSteps(design, executor, text, options);
  const measured = await runRows(steps, { design, executor, text, options });
  const after = await peakOf(executor, design);
  const peak = before && after ? betterPeak(before, after) : null;
  const bytes = documentBytes(text);
  return summarizeComparison(design, measured, {
    name: options.name,
    bytes,
    peak,
    environment: { ...describeEnvironment(executor, design.train.precision, isaOf(executor)) },
    data: {
      name: text.name,
      trainingTokens: text.train.count,
      validationBytes: text.validation.bytes,
      validationDocuments: bytes.length,
    },
  });
}

/** The plain executor is no measure of the machine: it has no peak. */
async function peakOf(executor: Executor, { train }: Design): Promise<Peak | null> {
  if (train.executor !== 'native') return null;
  return measurePeak(executor, { precision: train.precision === 'bfloat16' ? 'bfloat16' : 'float32' });
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw fileError('write', folder, error);
  }
}

async function planSteps(
  design: Design,
  executor: Executor,
  { validation }: Text,
  options: ComparisonOptions,
): Promise<number[]> {
  const timed = design.equal === 'seconds' || 'budget' in design.amount;
  const seconds = timed
    ? await measureSpeeds(design, options.speeds ?? options.folder, executor, options.onSpeed)
    : undefined;
  const costs = design.rows.map((row, index) => ({
    ...rowCost(row, design.train),
    ...(seconds
      ? {
          seconds: seconds[index],
          // Without the backward pass, a third of the work.
          measuring: (validation.count / tokensPerStep(design.train)) * (seconds[index] / 3),
        }
      : {}),
  }));
  const steps = stepsOf(design, costs);
  const runs = runsPerRow(design);
  options.onForecast?.({
    rows: design.rows.map(({ name }, index) => ({
      name,
      steps: steps[index],
      tokens: steps[index] * tokensPerStep(design.train),
    })),
    runs: runs * design.rows.length,
    ...(seconds
      ? { seconds: runs * steps.reduce((sum, count, index) => sum + count * seconds[index], 0) }
      : {}),
  });
  return steps;
}

interface Context {
  readonly design: Design;
  readonly executor: Executor;
  readonly text: Text;
  readonly options: ComparisonOptions;
}

/**
 * All cells, seed by seed: what else the machine does then falls on all models alike. The first seed also finds the
 * learning rate of each row.
 */
async function runRows(steps: readonly number[], context: Context): Promise<MeasuredRow[]> {
  const { design } = context;
  const [first, ...others] = design.seeds;
  const rows: { row: Row; steps: number; cells: CellResult[] }[] = [];
  for (const [index, row] of design.rows.entries()) {
    const best = await runBest(row, first, steps[index], context);
    rows.push({ row, steps: steps[index], cells: [best] });
  }
  for (const seed of others) {
    for (const { row, steps: count, cells } of rows) {
      cells.push(await runOne(cellOf(design, row, seed, cells[0].learningRate, count), context));
    }
  }
  return rows;
}

/** The cell with the learning rate that does best on the tuning documents. */
async function runBest(row: Row, seed: number, steps: number, context: Context): Promise<CellResult> {
  const { design } = context;
  const tried: CellResult[] = [];
  for (const rate of ratesOf(design, row)) {
    tried.push(await runOne(cellOf(design, row, seed, rate, steps), context));
  }
  return tried.reduce((a, b) => (tuningLoss(b) < tuningLoss(a) ? b : a));
}

function tuningLoss({ nats }: CellResult): number {
  return tuningDocuments(nats.length).reduce((sum, index) => sum + nats[index], 0);
}

async function runOne(cell: Cell, { executor, text, options }: Context): Promise<CellResult> {
  const { folder, measuring = {}, signal, warn, onStep, onCell } = options;
  const result = await runCell(cell, folder, executor, text, measuring, {
    ...(signal ? { signal } : {}),
    warn,
    onStep: (metrics, steps) => onStep?.(cell, metrics, steps),
  });
  onCell?.(cell, result);
  return result;
}
