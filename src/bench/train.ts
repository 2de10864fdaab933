/** Training speed on random tokens: what the machine does, whatever the text. A sample is one optimizer step. */
import type { Program } from '../compiler/index.ts';
import { streamOf } from '../data/index.ts';
import type { ModelConfig } from '../models/index.ts';
import { randomStream } from '../nn/random.ts';
import type { Executor, RunStatistics } from '../runtime/index.ts';
import type { FrozenTrainConfig, TrainingPrograms } from '../train/index.ts';
import { Trainer, tokensPerStep } from '../train/index.ts';
import type { Effort, Machine } from './machine.ts';
import type { Measurement, Subject, Work } from './measurement.ts';
import { peakMemory, releaseMemory, resetPeakMemory } from './memory.ts';
import type { OneDnn } from './onednn.ts';
import { type Gauge, joinSamples, type Samples, takeSamples } from './probes.ts';
import { ProfileRecorder } from './profile.ts';
import { workOf } from './programWork.ts';
import { inRounds, shareSamples } from './rounds.ts';
import { type Spread, spread, sum } from './statistics.ts';

export interface TrainingSubject {
  readonly subject: Subject;
  readonly model: ModelConfig;
  readonly train: FrozenTrainConfig;
  readonly executor: Executor;
}

export interface TrainingBench {
  readonly subjects: readonly TrainingSubject[];
  /** Measured steps of each subject over all rounds; in every round some more go before them and are not counted. */
  readonly steps: number;
  readonly rounds: number;
  /** Adds steps in which every call is timed. */
  readonly profile?: boolean;
  readonly effort?: Effort | undefined;
  readonly peer?: OneDnn | undefined;
  readonly onStep?: (subject: Subject, done: number) => void;
}

export interface TrainingBenchResult {
  readonly machine: Machine;
  readonly measurements: readonly Measurement[];
  /** Recorders of the last round, by subject; empty without `profile`. */
  readonly recorders: readonly ProfileRecorder[];
}

/** Seconds: a step that takes longer needs no second one before what is measured. */
const longStep = 1;
/** Profiled are at least so many steps, and short ones for so many seconds: the host's part of a step is small and noisy. */
const profiledSteps = 3;
const profiledSeconds = 0.5;

export async function benchTraining(bench: TrainingBench): Promise<TrainingBenchResult> {
  const { subjects, rounds, effort, peer } = bench;
  const samples = shareSamples(bench.steps, rounds);
  const done = new Map<TrainingSubject, number>();
  // The subject with the most threads stands for the machine.
  const [{ executor }] = [...subjects].sort((a, b) => b.executor.threads - a.executor.threads);
  const { machine, results } = await inRounds(
    { rounds, executor, effort, peer },
    subjects.map((subject) => async (round, probes) => {
      const { model, train, executor } = subject;
      return measureTraining({
        model,
        train,
        executor,
        gauge: await probes.product(train.precision),
        steps: samples[round],
        profile: bench.profile === true && round === rounds - 1,
        onStep: () => {
          const count = (done.get(subject) ?? 0) + 1;
          done.set(subject, count);
          bench.onStep?.(subject.subject, count);
        },
      });
    }),
  );
  const recorders = results.flatMap((visits) =>
    visits.flatMap(({ recorder }) => (recorder ? [recorder] : [])),
  );
  return {
    machine,
    measurements: subjects.map((subject, index) => summarize(subject, results[index], machine)),
    recorders,
  };
}

/** Steps of one trainer, opened for them and closed after. */
export interface TrainingVisit extends Samples {
  readonly stepSeconds: Spread;
  readonly balances: readonly number[];
  readonly work: Work;
  readonly memory: NonNullable<Measurement['memory']>;
  readonly recorder?: ProfileRecorder;
}

export interface VisitOptions {
  readonly model: ModelConfig;
  readonly train: FrozenTrainConfig;
  readonly executor: Executor;
  /** Measured steps; one or two more go before them and are not counted. */
  readonly steps: number;
  /** Probes the machine around the steps. */
  readonly gauge?: Gauge;
  readonly profile?: boolean;
  readonly onStep?: () => void;
}

export async function measureTraining(options: VisitOptions): Promise<TrainingVisit> {
  const { model, train, executor, steps, gauge, profile = false } = options;
  await releaseMemory();
  const counted = resetPeakMemory();
  const trainer = new Trainer({ model, train, executor, text: randomText(model.vocabulary, train) });
  try {
    await trainer.initialize();
    const warmup = tokensPerStep(train) / (await trainer.step()).tokensPerSecond;
    if (warmup < longStep) await trainer.step();
    const balances: number[] = [];
    const samples = await takeSamples(steps, gauge, async () => {
      const { tokensPerSecond, laneBalance } = await trainer.step();
      if (laneBalance !== undefined) balances.push(laneBalance);
      options.onStep?.();
      return tokensPerStep(train) / tokensPerSecond;
    });
    const recorder = profile ? await profileSteps(trainer) : undefined;
    const { step } = trainer.programs;
    return {
      ...samples,
      stepSeconds: spread(samples.seconds),
      balances,
      work: trainingWork(trainer.programs, train),
      memory: {
        planned: trainer.memory.total,
        peak: counted ? peakMemory() : null,
        arenaOverLive: step.arenaBytes / step.peakLiveBytes,
      },
      ...(recorder ? { recorder } : {}),
    };
  } finally {
    trainer.dispose();
  }
}

interface ObservedStep {
  readonly runs: readonly RunStatistics[];
  /** Seconds of the step beside its runs. */
  readonly around: number;
}

async function observeStep(trainer: Trainer, program: Program, profile: boolean): Promise<ObservedStep> {
  const runs: RunStatistics[] = [];
  const observe = (observed: Program, statistics: RunStatistics): void => {
    if (observed === program) runs.push(statistics);
  };
  const begin = performance.now();
  await trainer.step({ observe, profile });
  const wall = (performance.now() - begin) / 1000;
  return { runs, around: wall - sum(runs.map(({ seconds }) => seconds)) };
}

/** The program that does most of a step: the whole of it, or the gradients of one part where steps accumulate. */
async function profileSteps(trainer: Trainer): Promise<ProfileRecorder> {
  const recorder = new ProfileRecorder(trainer.programs.step);
  // In a row, as in training: the host has more to do after a run in which the clock was read at every call.
  await repeatStep(trainer, recorder.program, false, ({ runs, around }) => {
    for (const _ of runs) recorder.addHost(around / runs.length);
  });
  await repeatStep(trainer, recorder.program, true, ({ runs }) => {
    for (const run of runs) recorder.add(run);
  });
  return recorder;
}

async function repeatStep(
  trainer: Trainer,
  program: Program,
  profile: boolean,
  take: (step: ObservedStep) => void,
): Promise<void> {
  let spent = 0;
  for (let step = 0; step < profiledSteps || spent < profiledSeconds; step++) {
    const observed = await observeStep(trainer, program, profile);
    take(observed);
    spent += sum(observed.runs.map(({ seconds }) => seconds)) + observed.around;
  }
}

/** Work of one optimizer step. */
export function trainingWork(
  { step, update, flopsPerStep }: TrainingPrograms,
  train: FrozenTrainConfig,
): Work {
  const parts = [...Array.from({ length: train.accumulation }, () => step), ...(update ? [update] : [])];
  return { tokens: tokensPerStep(train), modelFlops: flopsPerStep, ...workOf(parts) };
}

function summarize(
  { subject, train, executor }: TrainingSubject,
  visits: readonly TrainingVisit[],
  machine: Machine,
): Measurement {
  const [{ work, memory }] = visits;
  const balances = visits.flatMap((one) => one.balances);
  const recorder = visits.at(-1)?.recorder;
  return {
    subject,
    precision: train.precision,
    threads: executor.threads,
    executor: executor.name,
    ...joinSamples(visits),
    work,
    memory: { ...memory, peak: largest(visits.map((one) => one.memory.peak)) },
    ...(balances.length > 0 ? { laneBalance: spread(balances).median } : {}),
    ...(recorder ? { profile: recorder.profile(machine) } : {}),
  };
}

function largest(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? Math.max(...known) : null;
}

/** One document of random tokens without a separator, long enough for a few steps; the loader goes round it. */
export function randomText(vocabulary: number, train: FrozenTrainConfig) {
  const stream = randomStream(train.seed, 'bench');
  const count = 4 * tokensPerStep(train) + 1;
  const tokens = Int32Array.from({ length: count }, (_, index) => stream.uint32(index) % vocabulary);
  return streamOf(tokens, -1, count);
}
