/**
 * A comparison from its design to its figures: how many runs at a time, step times, then every cell, then the statistics.
 * It may be stopped at any time; the same call goes on where it stopped.
 */
import { betterPeak, measurePeak } from '../bench/peak.ts';
import type { Peak } from '../bench/results.ts';
import { isaOf, openExecutor } from '../bench/session.ts';
import { quantile } from '../bench/statistics.ts';
import type { Text } from '../data/index.ts';
import { loadText } from '../data/index.ts';
import type { Executor } from '../runtime/index.ts';
import type { MachineDefaults, StepMetrics, TrainConfig } from '../train/index.ts';
import { describeEnvironment, freezeTrain, makeFolder, settle, tokensPerStep } from '../train/index.ts';
import type { CellResult, Measuring } from './cell.ts';
import { runCells } from './cells.ts';
import { openCrew, soloCrew } from './crew.ts';
import type { Cell, Design, Row } from './design.ts';
import { checkDesign, rowCost, runSeconds, runsPerRow, stepsOf } from './design.ts';
import { documentBytes } from './documentLosses.ts';
import type { Jobs } from './jobs.ts';
import { planJobs } from './jobs.ts';
import type { ComparisonResult } from './results.ts';
import { summarizeComparison } from './results.ts';
import { measureSpeeds } from './speed.ts';

/** A design whose machine-dependent values are still open. */
export type OpenDesign = Omit<Design, 'train'> & { readonly train: TrainConfig };

/** What is known before the first cell starts. */
export interface Forecast {
  readonly rows: readonly { readonly name: string; readonly steps: number; readonly tokens: number }[];
  readonly runs: number;
  /** Runs that train at the same time, and threads of each. */
  readonly jobs: number;
  readonly threads: number;
  /** Seconds until all runs have been trained; undefined where step times were not measured. */
  readonly seconds?: number;
}

export interface ComparisonOptions {
  readonly name: string;
  readonly folder: string;
  /** Where step times are kept; the folder unless given, so that comparisons of the same models may share them. */
  readonly speeds?: string;
  readonly measuring?: Measuring;
  /** Runs at a time, or `auto`: by measurement, where all models are small. Default: one. */
  readonly jobs?: number | 'auto';
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
export async function runComparison(
  given: OpenDesign,
  options: ComparisonOptions,
): Promise<ComparisonResult> {
  const { folder, measuring = {}, speeds: home = folder, warn: tell, jobs: wanted = 1 } = options;
  makeFolder(folder);
  const { machine } = openExecutor(given.train);
  const jobs = await planJobs(given, { wanted, folder, home, machine, tell });
  const open = { ...given, train: { ...given.train, threads: jobs.threads } };
  const { executor } = openExecutor(open.train);
  const design = await freezeDesign(open, executor, { ...machine, threads: executor.threads }, tell);
  checkDesign(design);
  const text = loadText(design.data);
  const before = await peakOf(executor, design);
  const timed = jobs.shared || design.equal === 'seconds' || 'budget' in design.amount;
  const speeds = timed ? await measureSpeeds(design, home, executor, options.onSpeed) : undefined;
  const steps = planSteps(design, speeds, text, jobs, options);
  const crew = jobs.now > 1 ? openCrew(jobs.now) : soloCrew(executor, text);
  let measured: Awaited<ReturnType<typeof runCells>>;
  try {
    measured = await runCells({ ...options, design, steps, crew, folder, measuring });
  } finally {
    await crew.close();
  }
  const after = await peakOf(executor, design);
  const peak = before && after ? betterPeak(before, after) : null;
  const bytes = documentBytes(text);
  return summarizeComparison(design, measured, {
    name: options.name,
    bytes,
    peak,
    threads: design.train.threads,
    // Step times of runs that share the machine are no property of their models.
    ...(jobs.shared && speeds ? { alone: speeds } : {}),
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

function planSteps(
  design: Design,
  speeds: readonly (readonly number[])[] | undefined,
  { validation }: Text,
  { planned, now, crowding }: Jobs,
  { onForecast }: ComparisonOptions,
): number[] {
  const { train } = design;
  const perStep = tokensPerStep(train);
  const { validateEvery, validateRows, length } = train;
  const validated = validateRows > 0 ? Math.min(validateRows * length, validation.count) : validation.count;
  const costs = design.rows.map((row, index) => {
    const cost = rowCost(row, train);
    if (!speeds) return cost;
    const seconds = quantile(speeds[index], 0.5);
    // Without the backward pass, a third of the work.
    const measuring = (tokens: number): number => (tokens / perStep) * (seconds / 3);
    const validating = validateEvery > 0 ? measuring(validated) / validateEvery : 0;
    return {
      ...{ ...cost, seconds },
      ...{ wall: crowding * (seconds + validating), measuring: crowding * measuring(validation.count) },
    };
  });
  const steps = stepsOf(design, costs, planned);
  onForecast?.({
    rows: design.rows.map(({ name }, index) => ({
      name,
      steps: steps[index],
      tokens: steps[index] * perStep,
    })),
    runs: runsPerRow(design) * design.rows.length,
    jobs: now,
    threads: train.threads,
    ...(speeds ? { seconds: runSeconds(design, costs, steps, now) } : {}),
  });
  return steps;
}
