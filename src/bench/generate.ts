/**
 * Speed of generation at a position: a sample is one step of the model that reads one token per row (or a piece of a
 * prompt) with everything before it in its states. Weights are one constant and states are zero: neither changes the work.
 */
import type { StateBinding } from '../blocks/index.ts';
import type { Program } from '../compiler/index.ts';
import { compile, graphCost, lowerPrecision, optimize } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import { logitsOf } from '../models/head.ts';
import type { ModelConfig } from '../models/index.ts';
import { buildModel } from '../models/index.ts';
import type { ParameterSpec } from '../nn/index.ts';
import { splitPositions } from '../ops/index.ts';
import type { Executor, LoadedProgram, RunOptions, RunStatistics, Store } from '../runtime/index.ts';
import type { Precision } from '../train/index.ts';
import { checkMemory, integerInput, planMemory, refreshShadows } from '../train/index.ts';
import type { Effort, Machine } from './machine.ts';
import type { Measurement, Subject, Work } from './measurement.ts';
import type { OneDnn } from './onednn.ts';
import { type Gauge, joinSamples, type Probes, type Samples, takeSamples } from './probes.ts';
import { ProfileRecorder } from './profile.ts';
import { workOf } from './programWork.ts';
import { inRounds, shareSamples } from './rounds.ts';

export interface GenerationSubject {
  readonly subject: Subject;
  readonly model: ModelConfig;
  readonly precision: Precision;
  readonly batch: number;
  /** Tokens of each row that the step reads: 1 when generating, more in a prompt. */
  readonly tokens: number;
  /** Position of the first of them. */
  readonly position: number;
  /** Branches of a block at the same time, each on its share of the threads. */
  readonly lanes?: boolean;
}

export interface GenerationBench {
  readonly subjects: readonly GenerationSubject[];
  readonly executor: Executor;
  readonly samples: number;
  readonly rounds: number;
  readonly profile?: boolean;
  readonly effort?: Effort | undefined;
  readonly peer?: OneDnn | undefined;
  readonly onSubject?: (subject: Subject) => void;
}

export interface GenerationBenchResult {
  readonly machine: Machine;
  readonly measurements: readonly Measurement[];
  readonly recorders: readonly ProfileRecorder[];
}

export interface StepVisit extends Samples {
  readonly program: Program;
  readonly work: Work;
  readonly memory: NonNullable<Measurement['memory']>;
  readonly recorder?: ProfileRecorder;
}

export async function benchGeneration(bench: GenerationBench): Promise<GenerationBenchResult> {
  const { subjects, executor, rounds, effort, peer } = bench;
  const samples = shareSamples(bench.samples, rounds);
  const { machine, results } = await inRounds(
    { rounds, executor, effort, peer },
    subjects.map((subject) => async (round, probes) => {
      const profile = bench.profile === true && round === rounds - 1;
      const gauge = await gaugeOf(subject, probes);
      const visit = await measureStep(subject, executor, samples[round], { profile, gauge });
      bench.onSubject?.(subject.subject);
      return visit;
    }),
  );
  const recorders = results.flatMap((visits) =>
    visits.flatMap(({ recorder }) => (recorder ? [recorder] : [])),
  );
  const measurements = subjects.map(({ subject, precision }, index): Measurement => {
    const visits = results[index];
    const recorder = visits.at(-1)?.recorder;
    return {
      subject,
      precision,
      threads: executor.threads,
      executor: executor.name,
      ...joinSamples(visits),
      work: visits[0].work,
      memory: visits[0].memory,
      ...(recorder ? { profile: recorder.profile(machine) } : {}),
    };
  });
  return { machine, measurements, recorders };
}

const warmup = 2;
const profiledRuns = 5;

/** A token waits for its weights, a prompt for its products. */
export function gaugeOf({ tokens, precision }: GenerationSubject, probes: Probes): Promise<Gauge> {
  return tokens === 1 ? probes.read() : probes.product(precision);
}

export interface StepOptions {
  /** Adds runs in which every call is timed. */
  readonly profile?: boolean;
  /** Probes the machine around the samples. */
  readonly gauge?: Gauge;
  /** Told of every sample, and of every run in which calls were timed. */
  readonly observe?: (statistics: RunStatistics) => void;
}

/** Opens the step, measures it after a warm-up, and closes it. */
export async function measureStep(
  subject: GenerationSubject,
  executor: Executor,
  samples: number,
  { profile = false, gauge, observe }: StepOptions = {},
): Promise<StepVisit> {
  const { program, parameters, shadows, states, modelFlops } = stepProgram(subject, executor.threads);
  const planned = planMemory([program]);
  checkMemory(planned, 'Give smaller --positions or a smaller --batch.');
  const store = executor.createStore();
  let loaded: LoadedProgram | undefined;
  try {
    loaded = executor.load(program, store);
    fillStore(parameters, store);
    await refreshShadows(shadows, executor.threads, executor, store);
    writePositions(loaded, subject);
    const opened = loaded;
    const step = async (options?: RunOptions): Promise<{ wall: number; statistics: RunStatistics }> => {
      rewind(store, states, subject);
      const begin = performance.now();
      const statistics = await opened.run(options);
      return { wall: (performance.now() - begin) / 1000, statistics };
    };
    for (let turn = 0; turn < warmup; turn++) await step();
    const taken = await takeSamples(samples, gauge, async () => {
      const { wall, statistics } = await step();
      observe?.(statistics);
      return wall;
    });
    const recorder = profile ? new ProfileRecorder(program) : undefined;
    for (let turn = 0; recorder && turn < profiledRuns; turn++) {
      const { statistics } = await step({ profile: true });
      recorder.add(statistics);
      observe?.(statistics);
      const plain = await step();
      recorder.addHost(plain.wall - plain.statistics.seconds);
    }
    return {
      program,
      ...taken,
      work: { tokens: subject.batch * subject.tokens, modelFlops, ...workOf([program]) },
      memory: {
        planned: planned.total,
        peak: null,
        arenaOverLive: program.arenaBytes / program.peakLiveBytes,
      },
      ...(recorder ? { recorder } : {}),
    };
  } finally {
    loaded?.dispose();
    store.dispose();
  }
}

/** Reads `tokens` tokens of each row at the position and gives the logits after the last, as generation does. */
function stepProgram(subject: GenerationSubject, threads: number) {
  const { model, precision, batch, tokens, position, lanes = false } = subject;
  const graph = new Graph();
  const built = buildModel(graph, model, {
    batch,
    length: tokens,
    documents: false,
    start: position,
    states: { capacity: position + tokens },
  });
  graph.scope('head', () => {
    const { hidden } = built;
    const last = tokens > 1 ? splitPositions(hidden, [[[tokens - 1, tokens]]])[0] : hidden;
    graph.output('logits', logitsOf(built, last));
  });
  const modelFlops = graphCost(graph).model;
  const lowered = precision === 'bfloat16' ? lowerPrecision(graph).graph : graph;
  return {
    program: compile(optimize(lowered, precision), { name: `step at ${position}`, threads, lanes }),
    parameters: built.parameters,
    shadows: built.parameters.filter(({ name }) => lowered.findSource('shadow', name)),
    states: built.states,
    modelFlops,
  };
}

/**
 * Puts the counters of caches (the states that are integers) back to where they stand before the step. The cache of a
 * routed branch holds the positions of that branch only, which is what its capacity was made for.
 */
function rewind(
  store: Store,
  states: readonly StateBinding[],
  { position, tokens }: GenerationSubject,
): void {
  const owner = (name: string): string => name.slice(0, name.lastIndexOf('.'));
  for (const { name, dtype } of states) {
    if (dtype !== 'int32') continue;
    const caches = states.filter((state) => state.kind === 'append' && owner(state.name) === owner(name));
    const room = Math.min(...caches.map(({ shape }) => shape[1] - tokens));
    store.find(`state/${name}`)?.data.fill(Math.max(0, Math.min(position, room)));
  }
}

/** Touches every page of weights and states: pages that were never written are read from one cached page of zeros. */
function fillStore(parameters: readonly ParameterSpec[], store: Store): void {
  for (const { name, shape } of parameters)
    store.tensor(`parameter/${name}`, 'float32', shape).data.fill(0.01);
  for (const key of store.keys()) if (key.startsWith('state/')) store.find(key)?.data.fill(0);
}

function writePositions({ inputs }: LoadedProgram, { batch, tokens, position }: GenerationSubject): void {
  const positions = integerInput(inputs, 'positions');
  for (let row = 0; row < batch; row++) {
    for (let token = 0; token < tokens; token++) positions[row * tokens + token] = position + token;
  }
}
