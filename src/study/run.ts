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
import { BraidError } from '../graph/index.ts';
import { formatDuration } from '../report/format.ts';
import type { Executor } from '../runtime/index.ts';
import type { MachineDefaults, StepMetrics, TrainConfig } from '../train/index.ts';
import { describeEnvironment, freezeTrain, makeFolder, settle, tokensPerStep } from '../train/index.ts';
import type { CellResult, Measuring } from './cell.ts';
import { runCells } from './cells.ts';
import { openCrew, soloCrew } from './crew.ts';
import type { Cell, Design, Row, RowCost } from './design.ts';
import { asBudget, checkDesign, rowCost, runSeconds, runsPerRow, stepsOf } from './design.ts';
import { documentBytes } from './documentLosses.ts';
import type { Jobs } from './jobs.ts';
import { planJobs } from './jobs.ts';
import type { ComparisonResult } from './results.ts';
import { summarizeComparison } from './results.ts';
import type { SpeedEffort } from './speed.ts';
import { knowsSpeeds, measureSpeeds, roughSpeeds, speedEffort, speedSeconds } from './speed.ts';

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
  const jobs = await planJobs(given, {
    wanted,
    folder,
    home,
    machine,
    measuredLength: measuring.length,
    tell,
    signal: options.signal,
  });
  const open = { ...given, train: { ...given.train, threads: jobs.threads } };
  const { executor } = openExecutor(open.train);
  const design = await freezeDesign(open, executor, { ...machine, threads: executor.threads }, tell);
  checkDesign(design);
  const text = loadText(design.data);
  const timed = jobs.shared || design.equal === 'seconds' || 'budget' in design.amount;
  const effort = timed
    ? await affordEffort(design, executor, text, jobs, { ...options, speeds: home })
    : undefined;
  const speeds = effort
    ? await measureSpeeds(design, home, executor, {
        effort,
        signal: options.signal,
        onRow: options.onSpeed,
      })
    : undefined;
  const steps = planSteps(design, speeds, text, jobs, options);
  const trained = flopsOf(design, steps);
  const before = await peakOf(executor, design, trained);
  const crew = jobs.now > 1 ? openCrew(jobs.now) : soloCrew(executor, text);
  let measured: Awaited<ReturnType<typeof runCells>>;
  try {
    measured = await runCells({ ...options, design, steps, crew, folder, measuring });
  } finally {
    await crew.close();
  }
  const after = await peakOf(executor, design, trained);
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

/** Model FLOPs of all runs. */
function flopsOf(design: Design, steps: readonly number[]): number {
  const { rows, train } = design;
  return rows.reduce((sum, row, i) => sum + rowCost(row, train).flops * steps[i] * runsPerRow(design), 0);
}

/**
 * The plain executor is no measure of the machine: it has no peak. A comparison that is over in a moment does not spend more
 * on its peak than on its models.
 */
async function peakOf(executor: Executor, { train }: Design, flops: number): Promise<Peak | null> {
  if (train.executor !== 'native') return null;
  return measurePeak(executor, { precision: train.precision === 'bfloat16' ? 'bfloat16' : 'float32', flops });
}

/** Longer than one likes to look at nothing. */
const worthSaying = 60;

/** How thoroughly step times are measured. A budget that cannot do is refused before it is spent on measuring. */
async function affordEffort(
  design: Design,
  executor: Executor,
  { validation }: Text,
  jobs: Jobs,
  { speeds: home = '', warn: tell }: ComparisonOptions,
): Promise<SpeedEffort> {
  const unlimited = Number.POSITIVE_INFINITY;
  if (knowsSpeeds(design, home)) return speedEffort([], unlimited);
  const rough = await roughSpeeds(design, executor);
  const budget = 'budget' in design.amount ? design.amount.budget : unlimited;
  const effort = speedEffort(rough, budget);
  const seconds = speedSeconds(rough, effort);
  if (seconds > worthSaying) tell(`Measuring step times takes about ${formatDuration(seconds)}.`);
  if (seconds > budget / 2) {
    throw new BraidError(
      'usage',
      `Measuring the step times of ${design.rows.length} models takes about ${formatDuration(seconds)}, more than half of this ` +
        `comparison's ${formatDuration(budget)}. Give it ${asBudget(2 * seconds)} or more, or compare fewer or smaller models.`,
    );
  }
  stepsOf(design, costsOf(design, rough, validation.count, jobs), jobs.planned);
  return effort;
}

/** What the rows cost, where a step of each takes so long alone. */
function costsOf(
  { rows, train }: Design,
  seconds: readonly number[],
  validationTokens: number,
  { crowding }: Jobs,
): RowCost[] {
  const { validateEvery, validateRows, length } = train;
  const validated = validateRows > 0 ? Math.min(validateRows * length, validationTokens) : validationTokens;
  return rows.map((row, index) => {
    const step = seconds[index];
    // Without the backward pass, a third of the work.
    const measuring = (tokens: number): number => (tokens / tokensPerStep(train)) * (step / 3);
    const validating = validateEvery > 0 ? measuring(validated) / validateEvery : 0;
    return {
      ...rowCost(row, train),
      seconds: step,
      wall: crowding * (step + validating),
      measuring: crowding * measuring(validationTokens),
    };
  });
}

function planSteps(
  design: Design,
  speeds: readonly (readonly number[])[] | undefined,
  { validation }: Text,
  jobs: Jobs,
  { onForecast }: ComparisonOptions,
): number[] {
  const { rows, train } = design;
  const seconds = speeds?.map((samples) => quantile(samples, 0.5));
  const costs = seconds
    ? costsOf(design, seconds, validation.count, jobs)
    : rows.map((row) => rowCost(row, train));
  const steps = stepsOf(design, costs, jobs.planned);
  onForecast?.({
    rows: rows.map(({ name }, index) => ({
      name,
      steps: steps[index],
      tokens: steps[index] * tokensPerStep(train),
    })),
    runs: runsPerRow(design) * rows.length,
    jobs: jobs.now,
    threads: train.threads,
    ...(speeds ? { seconds: runSeconds(design, costs, steps, jobs.now) } : {}),
  });
  return steps;
}
