/**
 * The figures of a comparison, as `results.json` holds them. FLOPs are model FLOPs (no recomputation, causal scores, head
 * included), seconds are those of training steps, optimizer included.
 */
import type { Peak } from '../bench/results.ts';
import type { Spread } from '../bench/statistics.ts';
import { quantile, spread } from '../bench/statistics.ts';
import { planModel } from '../models/plan.ts';
import { tokensPerStep } from '../train/index.ts';
import type { CellResult, CurvePoint, ValidationPoint } from './cell.ts';
import type { Design, Equal, Rates, Row } from './design.ts';
import type { ContextLoss } from './documentLosses.ts';
import { letters } from './letters.ts';
import type { TaskFigure } from './taskFigures.ts';
import { averageTasks } from './taskFigures.ts';
import type { Difference, Estimate } from './uncertainty.ts';
import { uncertainty } from './uncertainty.ts';

export interface RowResult {
  readonly name: string;
  readonly group: string;
  readonly pattern: string;
  readonly strategies: readonly string[];
  readonly parameters: { readonly total: number; readonly nonEmbedding: number };
  readonly flopsPerToken: { readonly forward: number; readonly training: number };
  readonly learningRate: number;
  readonly steps: number;
  readonly tokensSeen: number;
  readonly flopsSeen: number;
  /** Of training steps, mean of the seeds; where runs shared the machine, of as many steps alone. */
  readonly trainingSeconds: number;
  /** Tokens of a step over the median step time. */
  readonly tokensPerSecond: number;
  /** Of all seeds; where runs shared the machine, of steps that the model did alone before. */
  readonly stepSeconds: Spread;
  readonly flopsPerSecond: number;
  /** Model FLOPs per second over the peak; null without one. */
  readonly mfu: number | null;
  /** Busy time of the lanes over (lanes × the slowest lane); null when lanes are off. */
  readonly laneBalance: number | null;
  /** Largest resident memory while the model trained, in bytes; null where the system does not tell. */
  readonly peakMemoryBytes: number | null;
  readonly trainingLoss: number;
  /** Validation, in bits per byte. */
  readonly bitsPerByte: Estimate;
  readonly seeds: readonly { readonly seed: number; readonly bitsPerByte: number }[];
  /** Rows that share a letter cannot be told apart (p ≥ 0.05, adjusted for all pairs). */
  readonly letters: string;
  /** Loss by tokens of context, mean of the seeds. */
  readonly contexts: readonly ContextLoss[];
  /** Mean of the seeds; empty where no tasks were asked for. */
  readonly tasks: readonly TaskFigure[];
  /** Of the first seed. */
  readonly curve: readonly CurvePoint[];
  /** Validations while the first seed trained, in bits per byte; empty unless asked for. */
  readonly validations: readonly ValidationPoint[];
}

/** Between the rows of these indices, in bits per byte. */
export type PairResult = Difference;

export interface ComparisonResult {
  readonly version: 2;
  readonly name: string;
  readonly created: string;
  readonly equal: Equal;
  readonly rates: Rates;
  readonly seeds: readonly number[];
  readonly batch: number;
  readonly length: number;
  /** Of every run. */
  readonly threads: number;
  /** Whether runs shared the machine, so that speeds were measured alone before. */
  readonly shared: boolean;
  readonly data: {
    readonly name: string;
    readonly trainingTokens: number;
    readonly validationBytes: number;
    /** Documents that the reported figures stand on. */
    readonly validationDocuments: number;
  };
  readonly environment: Readonly<Record<string, unknown>>;
  readonly peak: Peak | null;
  /** Best first. */
  readonly rows: readonly RowResult[];
  readonly pairs: readonly PairResult[];
}

/** A row with the cells of its seeds, in the order of the design's seeds. */
export interface MeasuredRow {
  readonly row: Row;
  readonly cells: readonly CellResult[];
}

/** Documents whose figures are reported: all, or every second one where the others chose the learning rates. */
export function reportedDocuments(count: number, rates: Rates): number[] {
  const all = Array.from({ length: count }, (_, index) => index);
  return rates.kind === 'grid' ? all.filter((index) => index % 2 === 1) : all;
}

/** Documents that choose among the rates of a grid. */
export function tuningDocuments(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index).filter((index) => index % 2 === 0);
}

export interface Circumstances {
  readonly name: string;
  readonly data: ComparisonResult['data'];
  readonly environment: Readonly<Record<string, unknown>>;
  readonly peak: Peak | null;
  /** Bytes of every validation document. */
  readonly bytes: readonly number[];
  readonly threads: number;
  /** Step times of each row of the design, alone on the machine; absent where the runs themselves were. */
  readonly alone?: readonly (readonly number[])[];
}

/** The figures with their uncertainty, best row first. */
export function summarizeComparison(
  design: Design,
  measured: readonly MeasuredRow[],
  { bytes, alone, ...circumstances }: Circumstances,
): ComparisonResult {
  const documents = reportedDocuments(bytes.length, design.rates);
  const reported = documents.map((index) => bytes[index]);
  const lossesOf = ({ cells }: MeasuredRow) => cells.map(({ nats }) => documents.map((index) => nats[index]));
  const sure = (rows: readonly MeasuredRow[]) => uncertainty(rows.map(lossesOf), reported);
  const { estimates: unordered } = sure(measured);
  const order = measured.map((_, index) => index).sort((a, b) => unordered[a].value - unordered[b].value);
  const ordered = order.map((index) => measured[index]);
  const { estimates, differences } = sure(ordered);
  const differ = (first: number, second: number): boolean =>
    differences.some((one) => one.first === first && one.second === second && one.adjusted < 0.05);
  const marks = letters(ordered.length, differ);
  return {
    version: 2,
    created: new Date().toISOString(),
    equal: design.equal,
    rates: design.rates,
    seeds: design.seeds,
    batch: design.train.batch * design.train.accumulation,
    length: design.train.length,
    ...circumstances,
    shared: alone !== undefined,
    rows: ordered.map((one, index) => ({
      ...rowFigures(one, design, circumstances.peak, alone?.[order[index]]),
      bitsPerByte: estimates[index],
      seeds: one.cells.map(({ seed }, at) => ({ seed, bitsPerByte: perSeed(lossesOf(one)[at], reported) })),
      letters: marks[index],
    })),
    pairs: differences,
  };
}

function perSeed(nats: readonly number[], bytes: readonly number[]): number {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return sum(nats) / sum(bytes) / Math.LN2;
}

function rowFigures(
  { row, cells }: MeasuredRow,
  { train }: Design,
  peak: Peak | null,
  alone: readonly number[] | undefined,
): Omit<RowResult, 'bitsPerByte' | 'seeds' | 'letters'> {
  const [first] = cells;
  const plan = planModel(row.model, { length: train.length });
  const stepSeconds = spread(alone ?? cells.flatMap((cell) => cell.stepSeconds));
  const secondsAt = (step: number, seconds: number): number => (alone ? step * stepSeconds.median : seconds);
  const balances = cells.flatMap(({ laneBalances }) => laneBalances);
  const memories = cells.flatMap(({ peakMemoryBytes }) =>
    peakMemoryBytes === null ? [] : [peakMemoryBytes],
  );
  const mean = (of: (cell: CellResult) => number): number =>
    cells.reduce((sum, cell) => sum + of(cell), 0) / cells.length;
  const flopsPerSecond = first.flopsPerStep / stepSeconds.median;
  return {
    name: row.name,
    group: row.group ?? row.name,
    pattern: row.model.pattern ?? 'layers',
    strategies: plan.blocks.map(({ strategy }) => strategy),
    parameters: plan.parameters,
    flopsPerToken: plan.flopsPerToken,
    learningRate: first.learningRate,
    steps: first.steps,
    tokensSeen: first.tokens,
    flopsSeen: first.flops,
    trainingSeconds: mean(({ steps, trainingSeconds }) => secondsAt(steps, trainingSeconds)),
    tokensPerSecond: tokensPerStep(train) / stepSeconds.median,
    stepSeconds,
    flopsPerSecond,
    mfu: peak && flopsPerSecond / peak.flopsPerSecond,
    laneBalance: balances.length > 0 ? quantile(balances, 0.5) : null,
    peakMemoryBytes: memories.length > 0 ? Math.max(...memories) : null,
    trainingLoss: mean(({ trainingLoss }) => trainingLoss),
    contexts: first.contexts.map((context, index) => ({
      ...context,
      loss: mean(({ contexts }) => contexts[index].loss),
    })),
    tasks: averageTasks(cells.map(({ tasks }) => tasks)),
    curve: first.curve.map((point) => ({ ...point, seconds: secondsAt(point.step, point.seconds) })),
    validations: (first.validations ?? []).map((point) => ({
      ...point,
      seconds: secondsAt(point.step, point.seconds),
    })),
  };
}
