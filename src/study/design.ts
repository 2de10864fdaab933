/**
 * What a comparison is to do, as data: which models, on what, equal in what, how often. From it and the measured step
 * times follow the cells, one training run each, before the first of them starts.
 */
import { BraidError } from '../graph/index.ts';
import type { ModelConfig } from '../models/index.ts';
import { planModel } from '../models/plan.ts';
import { formatDuration } from '../report/format.ts';
import type { DataConfig, FrozenRunConfig, FrozenTrainConfig } from '../train/index.ts';
import { tokensPerStep } from '../train/index.ts';
import { makespan } from './schedule.ts';

/** What all models get the same of: tokens, model FLOPs, or seconds of training on this machine. */
export type Equal = 'tokens' | 'flops' | 'seconds';

export const equals: readonly Equal[] = ['tokens', 'flops', 'seconds'];

/**
 * The learning rate of each model: all the same; the best of a grid, found on one seed and one half of the validation
 * documents, with the other half reported; or by the number of parameters (Kaplan et al. 2020, arXiv:2001.08361,
 * appendix D.6).
 */
export type Rates =
  | { readonly kind: 'fixed' }
  | { readonly kind: 'grid'; readonly rates: readonly number[] }
  | { readonly kind: 'kaplan' };

export interface Row {
  /** Unlike that of every other row; names folders too. */
  readonly name: string;
  readonly model: ModelConfig;
  /** What it stands for in a figure, such as a family or a strategy; its own name if absent. */
  readonly group?: string;
}

/** How long the models train: as many steps as given for the first, or as long as all of it may take, in seconds. */
export type Amount = { readonly steps: number } | { readonly budget: number };

export interface Design {
  readonly rows: readonly Row[];
  readonly equal: Equal;
  readonly seeds: readonly number[];
  readonly rates: Rates;
  readonly amount: Amount;
  readonly data: DataConfig;
  /** Steps, seed and learning rate are those of the design; the rest holds for every cell. */
  readonly train: FrozenTrainConfig;
}

/** One training run of a comparison. */
export interface Cell {
  readonly row: string;
  readonly seed: number;
  readonly learningRate: number;
  /** Folder below that of the comparison. */
  readonly folder: string;
  readonly config: FrozenRunConfig;
}

/** What is known of a row before it trains. */
export interface RowCost {
  /** Model FLOPs of one optimizer step. */
  readonly flops: number;
  /** Measured seconds of one optimizer step, alone; not asked for where nothing depends on it. */
  readonly seconds?: number;
  /** Seconds that a step takes with all that comes with it: validations, others at work; `seconds` unless given. */
  readonly wall?: number;
  /** Seconds that measuring one of its runs on the validation text takes, about; 0 unless given. */
  readonly measuring?: number;
}

/** Checks a design and says what is wrong with it. */
export function checkDesign({ rows, seeds, rates, equal, train }: Design): void {
  const fail = (message: string): never => {
    throw new BraidError('usage', message);
  };
  if (rows.length === 0) fail('Name at least one model to compare.');
  const names = rows.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    fail(
      `Two models are called '${twice}'. Give each its own name (model.name), so that their runs have a folder each.`,
    );
  }
  if (seeds.length === 0 || new Set(seeds).size < seeds.length) {
    fail(`Seeds are different whole numbers, at least one; given ${seeds.join(', ') || 'none'}.`);
  }
  if (rates.kind === 'grid' && (rates.rates.length < 2 || rates.rates.some((rate) => !(rate > 0)))) {
    fail(`A grid is two or more learning rates above 0; given ${rates.rates.join(', ') || 'none'}.`);
  }
  if (equal === 'seconds' && train.executor !== 'native') {
    fail(
      "Equal seconds are those of the native executor; remove train.executor, or compare with '--equal flops'.",
    );
  }
}

export function rowCost({ model }: Row, train: FrozenTrainConfig): RowCost {
  return { flops: planModel(model, { length: train.length }).flopsPerToken.training * tokensPerStep(train) };
}

/** What one step of a row uses up of the thing that all get the same of. */
function unit(equal: Equal, { flops, seconds = Number.NaN }: RowCost): number {
  return equal === 'tokens' ? 1 : equal === 'flops' ? flops : seconds;
}

/** Steps of each row, so that all get the same; in the order of the rows. `jobs` runs train at the same time. */
export function stepsOf(design: Design, costs: readonly RowCost[], jobs = 1): number[] {
  const units = costs.map((cost) => unit(design.equal, cost));
  const total =
    'steps' in design.amount ? design.amount.steps * units[0] : affordable(design, costs, units, jobs);
  const steps = units.map((one) => Math.round(total / one));
  const short = steps.findIndex((count) => count < 1);
  if (short >= 0) {
    throw new BraidError(
      'usage',
      `'${design.rows[short].name}' would get no step at all. Give more time or steps, or compare smaller models.`,
    );
  }
  return steps;
}

/** Share of the budget that is planned with; the rest is for a machine that is slower than it was. */
const plannedShare = 0.9;

function affordable(
  { amount, ...design }: Design,
  costs: readonly RowCost[],
  units: readonly number[],
  jobs: number,
): number {
  const budget = 'budget' in amount ? amount.budget * plannedShare : Number.NaN;
  const measuring = allRuns(
    design,
    costs.map((cost) => cost.measuring ?? 0),
    jobs,
  );
  if (measuring > budget / 2) {
    throw new BraidError(
      'usage',
      `Measuring ${runsPerRow(design) * costs.length} runs on the validation text takes about ${formatDuration(measuring)}, ` +
        `more than half of this comparison's ${formatDuration(budget / plannedShare)}. Give it ` +
        `${asBudget((2 * measuring) / plannedShare)} or more, ` +
        'fewer seeds or models, or a larger data.validateEvery.',
    );
  }
  const perUnit = costs.map((cost, index) => wallOf(cost) / units[index]);
  return (budget - measuring) / allRuns(design, perUnit, jobs);
}

/** A time that is long enough, as `--budget` takes it. */
export function asBudget(seconds: number): string {
  if (seconds < 600) return `${Math.ceil(seconds)}s`;
  return seconds < 3 * 3600 ? `${Math.ceil(seconds / 60)}m` : `${Math.ceil(seconds / 3600)}h`;
}

function wallOf({ seconds = Number.NaN, wall = seconds }: RowCost): number {
  return wall;
}

/** Seconds of training until the last run ends. */
export function runSeconds(
  design: Pick<Design, 'seeds' | 'rates'>,
  costs: readonly RowCost[],
  steps: readonly number[],
  jobs: number,
): number {
  return allRuns(
    design,
    costs.map((cost, index) => steps[index] * wallOf(cost)),
    jobs,
  );
}

/** Time for all runs, where those of a row take equally long. */
function allRuns(design: Pick<Design, 'seeds' | 'rates'>, ofRow: readonly number[], jobs: number): number {
  return makespan(Array.from({ length: runsPerRow(design) }, () => ofRow).flat(), jobs);
}

/** Runs of each row: one per seed, and those of the grid's rates that lose. */
export function runsPerRow({ seeds, rates }: Pick<Design, 'seeds' | 'rates'>): number {
  return seeds.length + (rates.kind === 'grid' ? rates.rates.length - 1 : 0);
}

/** The rates that a row is tried with. */
export function ratesOf({ rates, train }: Design, { model }: Row): readonly number[] {
  if (rates.kind === 'grid') return rates.rates;
  if (rates.kind === 'fixed') return [train.learningRate];
  const { nonEmbedding } = planModel(model, { length: 1 }).parameters;
  return [0.003239 - 0.0001395 * Math.log(nonEmbedding)];
}

export function cellOf(design: Design, row: Row, seed: number, learningRate: number, steps: number): Cell {
  const { tokens: _, ...train } = design.train;
  const rate = design.rates.kind === 'grid' ? `-rate-${learningRate}` : '';
  return {
    row: row.name,
    seed,
    learningRate,
    folder: `${folderName(row.name)}-seed-${seed}${rate}`,
    config: {
      model: row.model,
      data: design.data,
      train: { ...train, steps, seed, learningRate },
    },
  };
}

/** A name as a folder: what file systems dislike becomes a dash. */
function folderName(name: string): string {
  return name.replace(/[^\p{L}\p{N}._-]+/gu, '-');
}
