/**
 * How many runs of a comparison train at the same time, and with how many threads each. Sums of floats depend on the
 * threads, and the steps of a budget on how many share the machine: both are chosen once and kept in `jobs.json`, so that
 * going on repeats the bits whatever number is asked for then.
 */

import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { openExecutor } from '../bench/session.ts';
import { quantile } from '../bench/statistics.ts';
import { threadCount } from '../bench/threadCount.ts';
import { measureTraining } from '../bench/train.ts';
import { parseJson, readText, writeFileAtomically } from '../models/index.ts';
import type { FrozenTrainConfig, MachineDefaults } from '../train/index.ts';
import {
  checkMemory,
  freeMemory,
  freezeTrain,
  isRun,
  needsMeasuredBalance,
  openRun,
  withRatio,
} from '../train/index.ts';
import { planCell } from './cellMemory.ts';
import { openCrew } from './crew.ts';
import type { Row } from './design.ts';
import { runsPerRow } from './design.ts';
import type { OpenDesign } from './run.ts';
import { speedFile, stopWhen } from './speed.ts';

interface Kept {
  /** Of every run. */
  readonly threads: number;
  /** Runs at a time that the steps were planned for. */
  readonly planned: number;
  /** Times as long that a step takes beside the others as alone. */
  readonly crowding: number;
  /** Whether some run may have trained beside others: its step times then say nothing of the model. */
  readonly shared: boolean;
}

export interface Jobs extends Kept {
  /** Runs at a time in this call. */
  readonly now: number;
}

export interface JobsOptions {
  readonly wanted: number | 'auto';
  /** Of the comparison. */
  readonly folder: string;
  /** Where what was chosen is kept. */
  readonly home: string;
  readonly machine: MachineDefaults;
  /** Of the windows that runs are measured on; that of training unless given. */
  readonly measuredLength: number | undefined;
  readonly tell: (message: string) => void;
  readonly signal: AbortSignal | undefined;
}

const file = 'jobs.json';
/** Of a process beside its plan: Node, the text, the compiled programs. Measured: 110 to 190 MiB at `nano`. */
const processBytes = 200 * 2 ** 20;
/** Shorter comparisons are over before several processes are at work. */
const worthSeconds = 30;
/** A longer step keeps all threads busy by itself. */
const smallStepSeconds = 1;
/** Least gain that is worth sharing the machine. */
const worthGain = 1.1;
const rounds = 3;
const stepsInRound = 3;

/** Chooses, or takes what was chosen before. A model that does not even fit alone is a `BraidError('memory')`. */
export async function planJobs(open: OpenDesign, options: JobsOptions): Promise<Jobs> {
  const kept = readKept(open, options);
  const all = availableParallelism();
  const threads = kept?.threads ?? open.train.threads;
  const fit = fitting(open, options);
  const limits = [
    { most: Math.max(1, Math.floor(all / Math.max(1, threads))), why: threadsOf(all, threads) },
    { most: fit.places, why: fit.why },
    { most: runsPerRow(open) * open.rows.length, why: 'there are no more runs' },
  ];
  const limit = limits.reduce((a, b) => (b.most < a.most ? b : a));
  const jobs = kept
    ? { ...kept, now: Math.min(options.wanted === 'auto' ? kept.planned : options.wanted, limit.most) }
    : await choose(open, options, limit.most, fit.largest);
  if (options.wanted !== 'auto' && jobs.now < options.wanted) {
    options.tell(`Runs at a time: ${jobs.now} instead of ${options.wanted}, for ${limit.why}.`);
  }
  const next: Kept = {
    threads: jobs.threads,
    planned: jobs.planned,
    crowding: jobs.crowding,
    shared: jobs.shared || jobs.now > 1,
  };
  if (JSON.stringify(next) !== JSON.stringify(kept)) {
    const text = `${JSON.stringify(next, null, 2)}\n`;
    await writeFileAtomically(join(options.home, file), (handle) => handle.write(Buffer.from(text)));
  }
  return { ...next, now: jobs.now };
}

function threadsOf(all: number, threads: number): string {
  return threads > 0 ? `each has ${threads} of ${threadCount(all)}` : `the machine has ${threadCount(all)}`;
}

/** What an earlier call chose. Comparisons that were begun without a choice had all threads, one run at a time. */
function readKept({ train }: OpenDesign, { home, folder, machine }: JobsOptions): Kept | undefined {
  const path = join(home, file);
  const message = `'${path}' is damaged. Restore it, or begin the comparison in another folder.`;
  if (existsSync(path)) return parseJson(readText(path), 'file', message) as Kept;
  const begun = readdirSync(folder).find((name) => isRun(join(folder, name)));
  if (begun === undefined && !existsSync(join(home, speedFile))) return undefined;
  const threads = begun === undefined ? machine.threads : openRun(join(folder, begun)).config.train.threads;
  return { threads: train.threads || threads, planned: 1, crowding: 1, shared: false };
}

interface Fit {
  readonly largest: Row;
  /** Runs of the largest row that fit into memory together, at least one. */
  readonly places: number;
  readonly why: string;
}

function fitting({ rows, train }: OpenDesign, { machine, measuredLength }: JobsOptions): Fit {
  const frozen = freezeTrain(train, machine);
  const plans = rows.map((row) => {
    const { model } = planned(row);
    return { row: planned(row), plan: planCell(model, frozen, measuredLength ?? frozen.length) };
  });
  const { row, plan } = plans.reduce((a, b) => (b.plan.total > a.plan.total ? b : a));
  checkMemory(
    plan,
    `That is '${row.name}', the largest. Leave it out, or use train.recompute=true or a smaller train.batch or train.length.`,
  );
  const free = freeMemory();
  const needed = plan.total + processBytes;
  const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  return {
    largest: row,
    places: Math.max(1, Math.floor(free / needed)),
    why: `'${row.name}' takes ${gibibytes(needed)} of memory each time, and ${gibibytes(free)} are free`,
  };
}

/** Shares that are still to be measured hardly change what memory a model takes. */
function planned(row: Row): Row {
  return needsMeasuredBalance(row.model) ? { ...row, model: withRatio(row.model, 0.5) } : row;
}

async function choose(
  open: OpenDesign,
  { wanted, machine, tell, signal }: JobsOptions,
  most: number,
  largest: Row,
): Promise<Jobs> {
  const jobsOf = (now: number, crowding: number): Jobs => {
    const threads = Math.min(machine.threads, Math.max(1, Math.floor(availableParallelism() / now)));
    return { threads, planned: now, crowding, shared: now > 1, now };
  };
  const now = wanted === 'auto' ? most : Math.min(wanted, most);
  const { threads } = jobsOf(now, 1);
  const timed = wanted === 'auto' || 'budget' in open.amount;
  if (now === 1 || !timed) return jobsOf(now, 1);
  const train = freezeTrain(open.train, machine);
  if (wanted === 'auto' && !(await isWorthIt(open, largest, train))) return jobsOf(1, 1);
  stopWhen(signal);
  const { whole, alone, beside } = await timeTogether(largest, train, threads, now, signal);
  const gain = (now * whole) / beside;
  if (wanted === 'auto') {
    tell(
      `Runs at a time: ${gain >= worthGain ? now : 1}. ${now} of ${threadCount(threads)} each do ` +
        `${gain.toFixed(2)} times the steps of one of ${train.threads} (measured with '${largest.name}').`,
    );
    if (gain < worthGain) return jobsOf(1, 1);
  }
  return jobsOf(now, Math.max(1, beside / alone));
}

/** Small models gain by sharing, and long comparisons notice. The largest gains least: what holds for it holds for all. */
async function isWorthIt(open: OpenDesign, { model }: Row, train: FrozenTrainConfig): Promise<boolean> {
  const { executor } = openExecutor(train);
  const { stepSeconds } = await measureTraining({ model, train, executor, steps: 1 });
  const runs = runsPerRow(open) * open.rows.length;
  const total = 'budget' in open.amount ? open.amount.budget : runs * open.amount.steps * stepSeconds.median;
  return stepSeconds.median <= smallStepSeconds && total >= worthSeconds;
}

/** Seconds of a step with all threads, with its share of them alone, and so beside as many others as are planned; in turns. */
async function timeTogether(
  { model }: Row,
  train: FrozenTrainConfig,
  threads: number,
  now: number,
  signal: AbortSignal | undefined,
) {
  const own = { ...train, threads };
  const wholeExecutor = openExecutor(train).executor;
  const aloneExecutor = openExecutor(own).executor;
  const steps = stepsInRound;
  const times: { whole: number[]; alone: number[]; beside: number[] } = { whole: [], alone: [], beside: [] };
  const crew = openCrew(now);
  try {
    for (let round = 0; round < rounds; round++) {
      times.whole.push(...(await measureTraining({ model, train, executor: wholeExecutor, steps })).seconds);
      stopWhen(signal);
      times.alone.push(
        ...(await measureTraining({ model, train: own, executor: aloneExecutor, steps })).seconds,
      );
      stopWhen(signal);
      times.beside.push(...(await crew.time(model, own, steps)));
      stopWhen(signal);
    }
  } finally {
    await crew.close();
  }
  const { whole, alone, beside } = times;
  return { whole: quantile(whole, 0.5), alone: quantile(alone, 0.5), beside: quantile(beside, 0.5) };
}
