/**
 * Layers on their own over lengths, forward and backward, whole and without their dense projections, and the matrix
 * products that models consist of, in turn with those of a peer.
 */
import type { LayerChoice } from '../blocks/index.ts';
import type { Program } from '../compiler/index.ts';
import type { Executor, LoadedProgram, Store } from '../runtime/index.ts';
import type { Precision } from '../train/index.ts';
import { layerProgram, type Phase } from './layerPrograms.ts';
import type { Effort, Machine } from './machine.ts';
import type { Measurement, Subject } from './measurement.ts';
import type { OneDnn } from './onednn.ts';
import { type Gauge, joinSamples, type Probes, takeSamples } from './probes.ts';
import { nameOf, type Product, productProgram } from './products.ts';
import { ProfileRecorder } from './profile.ts';
import { workOf } from './programWork.ts';
import { inRounds, shareSamples } from './rounds.ts';
import { sum } from './statistics.ts';

export interface LayerSubject {
  readonly layer: LayerChoice;
  readonly width: number;
  readonly batch: number;
  readonly length: number;
  readonly phase: Phase;
  readonly precision: Precision;
}

export interface OperatorBench {
  readonly layers: readonly LayerSubject[];
  readonly products: readonly Product[];
  readonly peer?: OneDnn | undefined;
  readonly executor: Executor;
  readonly samples: number;
  readonly rounds: number;
  readonly profile?: boolean;
  readonly effort?: Effort | undefined;
  readonly onVisit?: (name: string) => void;
}

/** Samples of one thing in one round. */
type Part = Omit<Measurement, 'threads' | 'executor' | 'profile'> & { readonly recorder?: ProfileRecorder };

export async function benchOperators(
  bench: OperatorBench,
): Promise<{ machine: Machine; measurements: readonly Measurement[] }> {
  const { layers, products, executor, rounds, effort, peer } = bench;
  const samples = shareSamples(bench.samples, rounds);
  const visits = [
    ...layers.map((layer) => async (round: number, probes: Probes) => {
      const gauge = await probes.product(layer.precision);
      const parts = await measureLayer(layer, executor, samples[round], gauge);
      bench.onVisit?.(layer.layer.name);
      return parts;
    }),
    ...products.map((product) => async (round: number) => {
      const parts = await measureProduct(product, bench, samples[round]);
      bench.onVisit?.(nameOf(product));
      return parts;
    }),
  ];
  const { machine, results } = await inRounds<readonly Part[]>({ rounds, executor, effort, peer }, visits);
  const measurements = results.flatMap((inTurn) =>
    inTurn[0].map(({ recorder: _, ...part }, index): Measurement => {
      const recorder = bench.profile ? inTurn.at(-1)?.[index]?.recorder : undefined;
      return {
        ...part,
        threads: executor.threads,
        executor: executor.name,
        ...joinSamples(inTurn.map((parts) => parts[index])),
        ...(recorder ? { profile: recorder.profile(machine) } : {}),
      };
    }),
  );
  return { machine, measurements };
}

/** The dense projections of a layer; everything else is its inner part. */
const projection = 'matmul';

async function measureLayer(
  { layer, width, batch, length, phase, precision }: LayerSubject,
  executor: Executor,
  samples: number,
  gauge: Gauge,
): Promise<readonly Part[]> {
  const { threads } = executor;
  const { program, modelFlops } = layerProgram({ layer, width, batch, length, phase, precision, threads });
  const inner: number[] = [];
  const recorder = new ProfileRecorder(program);
  const whole = await withProgram(program, executor, async (loaded) => {
    await loaded.run();
    return takeSamples(samples, gauge, async () => {
      const statistics = await loaded.run({ profile: true });
      const { seconds, calls = [] } = statistics;
      inner.push(sum(calls.map((time) => (isInner(program, time.call) ? time.seconds : 0))));
      recorder.add(statistics);
      return seconds;
    });
  });
  const subject = (part: string): Subject => ({ layer: layer.name, part, phase, batch, length });
  const tokens = batch * length;
  const innerCalls = program.calls.filter((_, index) => isInner(program, index));
  return [
    {
      subject: subject('whole'),
      precision,
      ...whole,
      work: { tokens, modelFlops, ...workOf([program]) },
      recorder,
    },
    {
      subject: subject('inner'),
      precision,
      ...whole,
      seconds: inner,
      work: {
        tokens,
        executedFlops: sum(innerCalls.map(({ flops }) => flops)),
        executedBytes: sum(innerCalls.map(({ bytes }) => bytes)),
      },
    },
  ];
}

function isInner({ calls }: Program, index: number): boolean {
  const { operation, path } = calls[index];
  return operation !== projection && path !== '';
}

/** A run this long fills the caches itself; before a shorter one, another that is not counted brings them back. */
const longRun = 0.05;

/** Braid and both layouts of the peer, one run after the other: the machine may change between two of them, not for one. */
async function measureProduct(
  product: Product,
  { executor, peer }: OperatorBench,
  samples: number,
): Promise<readonly Part[]> {
  const program = productProgram(product, executor.threads);
  const systems = await withProgram(program, executor, async (loaded) => {
    const own = async (): Promise<number> => (await loaded.run()).seconds;
    const layouts = peer ? await availableLayouts(peer, product) : [];
    const runners = [
      { system: 'braid', run: own, seconds: [] as number[] },
      ...layouts.map(({ system, run }) => ({ system, run, seconds: [] as number[] })),
    ];
    for (let turn = 0; turn < samples; turn++) {
      for (const { run, seconds } of runners) {
        const first = await run();
        seconds.push(first < longRun ? await run() : first);
      }
    }
    return runners;
  });
  return systems.map(({ system, seconds }) => ({
    subject: { product: nameOf(product), system },
    precision: product.dtype,
    seconds,
    work: workOf([program]),
  }));
}

/** The peer's ways to multiply, each made ready; none where it has no such product on this CPU. */
async function availableLayouts(peer: OneDnn, product: Product) {
  const ways = [
    { layout: 'plain', system: peer.version },
    { layout: 'packed', system: `${peer.version}, packed` },
  ] as const;
  const found = [];
  for (const { layout, system } of ways) {
    const runs = await peer.measure(product, layout, { runs: 1 });
    if (runs === undefined) continue;
    const run = async (): Promise<number> =>
      (await peer.measure(product, layout, { runs: 1 }))?.[0] ?? Number.NaN;
    found.push({ system, run });
  }
  return found;
}

/** Loads a program with every page of its inputs and weights touched, and disposes of it after. */
async function withProgram<T>(
  program: Program,
  executor: Executor,
  run: (loaded: LoadedProgram) => Promise<T>,
): Promise<T> {
  const store: Store = executor.createStore();
  const loaded = executor.load(program, store);
  try {
    for (const key of store.keys()) store.find(key)?.data.fill(bitsOf(store.find(key)?.dtype));
    for (const [name, index] of Object.entries(program.inputs)) {
      const { dtype } = program.buffers[index];
      if (dtype !== 'int32') loaded.inputs.get(name)?.fill(bitsOf(dtype));
    }
    return await run(loaded);
  } finally {
    loaded.dispose();
    store.dispose();
  }
}

/** About 0.01 in a tensor's own form: BF16 is seen as its bits. */
function bitsOf(dtype: string | undefined): number {
  return dtype === 'bfloat16' ? 0x3c24 : 0.01;
}
