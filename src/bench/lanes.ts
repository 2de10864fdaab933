/**
 * What lanes do: for every group of branches the wall time, the busy and idle time of each lane and the time of the same
 * calls one after the other, and whole steps with and without lanes, in turn.
 */
import type { Program } from '../compiler/index.ts';
import type { Executor, RunStatistics } from '../runtime/index.ts';
import { Trainer, tokensPerStep } from '../train/index.ts';
import { evennessOf, laneBalance } from '../train/lanes.ts';
import { type GenerationSubject, gaugeOf, measureStep } from './generate.ts';
import type { Effort, Machine } from './machine.ts';
import type { Measurement, Subject } from './measurement.ts';
import type { OneDnn } from './onednn.ts';
import { joinSamples, type Probes, type Samples, takeSamples } from './probes.ts';
import { inRounds, shareSamples } from './rounds.ts';
import { quantile, spread, sum } from './statistics.ts';
import { randomText, type TrainingSubject, trainingWork } from './train.ts';

/** One group of lanes of a program: the branches of a block, forward or backward. Median seconds over the steps. */
export interface GroupTimes {
  /** Layer path of the block; its backward pass ends with `.backward`. */
  readonly group: string;
  readonly seconds: number;
  /** Of each lane's threads at work, helping others included, and of its calls, whoever did them. */
  readonly busy: readonly number[];
  readonly work: readonly number[];
  /** Threads of each lane. */
  readonly threads: readonly number[];
  /** Busy time of the lanes over (lanes × the slowest lane). */
  readonly balance: number;
  /** The same of the work of each lane: the balance that there would be without help. */
  readonly evenness: number;
  /** The same calls in the program without lanes, on all threads. */
  readonly withoutLanes: number;
}

export interface LaneMeasurement {
  readonly subject: Subject;
  readonly groups: readonly GroupTimes[];
  /** Median step without lanes over the median step with them: above 1 lanes win. */
  readonly speedup: number;
}

/** What lanes are tried on: steps of training, or of generation. */
export interface LaneSubject {
  readonly subject: Subject;
  readonly precision: string;
  readonly executor: Executor;
  /** Opens it in lanes or without, takes the samples, and closes it. */
  visit(lanes: boolean, samples: number, probes: Probes, onStep: () => void): Promise<LaneVisit>;
}

export interface LaneBench {
  readonly subjects: readonly LaneSubject[];
  readonly steps: number;
  readonly rounds: number;
  readonly effort?: Effort | undefined;
  readonly peer?: OneDnn | undefined;
  readonly onStep: () => void;
}

export interface LaneBenchResult {
  readonly machine: Machine;
  /** Two for each subject: in lanes, and one branch after the other. */
  readonly measurements: readonly Measurement[];
  readonly lanes: readonly LaneMeasurement[];
}

export interface LaneVisit {
  readonly program: Program;
  readonly work: Measurement['work'];
  readonly samples: Samples;
  readonly runs: readonly RunStatistics[];
}

export async function benchLanes(bench: LaneBench): Promise<LaneBenchResult> {
  const { subjects, rounds, effort, peer } = bench;
  const samples = shareSamples(bench.steps, rounds);
  const [{ executor }] = subjects;
  const { machine, results } = await inRounds(
    { rounds, executor, effort, peer },
    subjects.flatMap((subject) =>
      [true, false].map(
        (lanes) => (round: number, probes: Probes) =>
          subject.visit(lanes, samples[round], probes, bench.onStep),
      ),
    ),
  );
  const pairs = subjects.map((subject, index) => ({
    subject,
    on: merge(results[2 * index]),
    off: merge(results[2 * index + 1]),
  }));
  return {
    machine,
    measurements: pairs.flatMap(({ subject, on, off }) => [
      describe(subject, 'on', on),
      describe(subject, 'off', off),
    ]),
    lanes: pairs.map(({ subject, on, off }) => ({
      subject: subject.subject,
      groups: groupTimes(on, off),
      speedup: spread(off.samples.seconds).median / spread(on.samples.seconds).median,
    })),
  };
}

const warmup = 1;

/** Steps of training. */
export function trainingLanes({ subject, model, train, executor }: TrainingSubject): LaneSubject {
  const visit: LaneSubject['visit'] = async (lanes, steps, probes, onStep) => {
    const gauge = await probes.product(train.precision);
    const settings = { ...train, lanes };
    const text = randomText(model.vocabulary, train);
    const trainer = new Trainer({ model, train: settings, executor, text });
    try {
      await trainer.initialize();
      const program = trainer.programs.step;
      for (let step = 0; step < warmup; step++) await trainer.step();
      const runs: RunStatistics[] = [];
      const samples = await takeSamples(steps, gauge, async () => {
        const { tokensPerSecond } = await trainer.step({
          observe: (observedProgram, statistics) => {
            if (observedProgram === program) runs.push(statistics);
          },
        });
        onStep();
        return tokensPerStep(train) / tokensPerSecond;
      });
      return { program, work: trainingWork(trainer.programs, settings), samples, runs };
    } finally {
      trainer.dispose();
    }
  };
  return { subject, precision: train.precision, executor, visit };
}

/** Steps of generation. Calls are timed in runs of their own: in a step of milliseconds the clock would show. */
export function decodingLanes(step: GenerationSubject, executor: Executor): LaneSubject {
  const visit: LaneSubject['visit'] = async (lanes, samples, probes, onStep) => {
    const gauge = await gaugeOf(step, probes);
    const runs: RunStatistics[] = [];
    const observe = (statistics: RunStatistics): void => {
      if (statistics.calls) runs.push(statistics);
      else onStep();
    };
    const visited = await measureStep({ ...step, lanes }, executor, samples, {
      gauge,
      observe,
      profile: true,
    });
    const { program, work } = visited;
    return { program, work, samples: joinSamples([visited]), runs };
  };
  return { subject: step.subject, precision: step.precision, executor, visit };
}

function merge(visits: readonly LaneVisit[]): LaneVisit {
  const [{ program, work }] = visits;
  return {
    program,
    work,
    samples: joinSamples(visits.map(({ samples }) => samples)),
    runs: visits.flatMap(({ runs }) => runs),
  };
}

function describe(
  { subject, precision, executor }: LaneSubject,
  lanes: 'on' | 'off',
  found: LaneVisit,
): Measurement {
  const balances = found.runs.flatMap((run) => laneBalance(run.lanes) ?? []);
  return {
    subject: { ...subject, lanes },
    precision,
    threads: executor.threads,
    executor: executor.name,
    ...found.samples,
    work: found.work,
    ...(balances.length > 0 ? { laneBalance: spread(balances).median } : {}),
  };
}

/** The groups of the program with lanes, in the order in which they run. */
export function groupTimes(
  on: Pick<LaneVisit, 'program' | 'runs'>,
  off: Pick<LaneVisit, 'program' | 'runs'>,
): GroupTimes[] {
  const median = (values: readonly number[]): number => quantile(values, 0.5);
  return on.program.schedule.flatMap((item) => {
    if ('call' in item) return [];
    const { group, lanes } = item;
    const found = on.runs.flatMap((run) => run.lanes.filter((one) => one.group === group));
    const busy = lanes.map((_, lane) => median(found.map((one) => one.busy[lane])));
    const work = lanes.map((_, lane) => median(found.map((one) => one.work[lane])));
    const members = callsOf(
      on.program,
      lanes.flatMap(({ calls }) => calls),
    );
    return [
      {
        group,
        seconds: median(found.map(({ seconds }) => seconds)),
        busy,
        work,
        threads: lanes.map(({ threads }) => threads),
        balance: evennessOf(busy),
        evenness: evennessOf(work),
        withoutLanes: median(off.runs.map((run) => secondsOf(off.program, run, members))),
      },
    ];
  });
}

/** What tells calls apart in both programs: operation and layer, which no other group shares. */
function callsOf({ calls }: Program, members: readonly number[]): ReadonlySet<string> {
  return new Set(members.map((index) => nameOf(calls[index])));
}

function secondsOf({ calls }: Program, run: RunStatistics, members: ReadonlySet<string>): number {
  return sum((run.calls ?? []).map(({ call, seconds }) => (members.has(nameOf(calls[call])) ? seconds : 0)));
}

function nameOf({ operation, path }: Program['calls'][number]): string {
  return `${operation} ${path}`;
}
