/** The probes of one call, opened when they are first asked for, and samples taken between two of them. */
import type { ProbedCeilings } from './machine.ts';
import { openProductProbe, openReadProbe, type Probe, type ProbeOptions, probeSeconds } from './probe.ts';
import type { Peak } from './results.ts';
import { sum } from './statistics.ts';

/** What was probed at a moment; what is multiplied in float32 is measured against products in float32. */
export interface Moment {
  /** Mean FLOP/s of matrix products at the precision of what was measured. */
  readonly flopsPerSecond?: number;
  /** Mean bytes per second of reading. */
  readonly readBytesPerSecond?: number;
}

/** Probes that hold for the next `samples` samples of a measurement. */
export interface ProbedGroup {
  readonly samples: number;
  readonly before: Moment;
  readonly after: Moment;
}

export interface Samples {
  readonly seconds: readonly number[];
  /** Absent where nothing was probed. */
  readonly probes?: readonly ProbedGroup[];
}

/** Probes the machine now. */
export type Gauge = () => Promise<Moment>;

export class Probes {
  readonly #options: ProbeOptions;
  readonly #opened = new Map<string, Promise<Probe>>();
  readonly #best = new Map<Probe, number>();
  #times = 0;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** FLOP/s of products at a precision; anything but bfloat16 is multiplied in float32. */
  async product(precision: string): Promise<Gauge> {
    const name = precision === 'bfloat16' ? 'bfloat16' : 'float32';
    const probe = await this.#open(name, () => openProductProbe(this.#options, name));
    return async () => ({ flopsPerSecond: await this.#measure(probe) });
  }

  async read(): Promise<Gauge> {
    const probe = await this.#open('read', async () => openReadProbe(this.#options));
    return async () => ({ readBytesPerSecond: await this.#measure(probe) });
  }

  /** What was probed, in words. */
  get sources(): readonly string[] {
    return [...this.#best.keys()].map(({ source }) => source);
  }

  /** The best runs of all probes so far. */
  get ceilings(): ProbedCeilings {
    const rates = [...this.#best];
    const peaks = rates.flatMap(([{ product, source }, flopsPerSecond]): Peak[] => {
      if (!product) return [];
      const { m, k, n, dtype } = product;
      return [{ precision: dtype, flopsPerSecond, source, sizes: [{ m, k, n, flopsPerSecond }] }];
    });
    const [read] = rates.flatMap(([{ product }, rate]) => (product ? [] : [rate]));
    return { peaks, ...(read === undefined ? {} : { read }), times: this.#times };
  }

  async dispose(): Promise<void> {
    for (const probe of await Promise.all(this.#opened.values())) probe.dispose();
  }

  async #measure(probe: Probe): Promise<number> {
    const { mean, best } = await probe.measure();
    this.#best.set(probe, Math.max(best, this.#best.get(probe) ?? 0));
    this.#times++;
    return mean;
  }

  #open(name: string, open: () => Promise<Probe>): Promise<Probe> {
    const probe = this.#opened.get(name) ?? open();
    this.#opened.set(name, probe);
    return probe;
  }
}

/**
 * Takes samples with a probe before the first, after the last, and in between as soon as the samples since the last probe
 * took as long as a probe does: every group of samples stands between two probes, and half of the time at most is theirs.
 *
 * @param sample gives the seconds of the sample of that index
 */
export async function takeSamples(
  count: number,
  gauge: Gauge | undefined,
  sample: (index: number) => Promise<number>,
): Promise<Samples> {
  const seconds: number[] = [];
  const probes: ProbedGroup[] = [];
  let before = await gauge?.();
  let [samples, spent] = [0, 0];
  for (let index = 0; index < count; index++) {
    const took = await sample(index);
    seconds.push(took);
    samples++;
    spent += took;
    if (!gauge || !before || (spent < probeSeconds && index < count - 1)) continue;
    const after = await gauge();
    probes.push({ samples, before, after });
    before = after;
    [samples, spent] = [0, 0];
  }
  return { seconds, ...(gauge ? { probes } : {}) };
}

/** Samples of several visits as those of one. */
export function joinSamples(visits: readonly Samples[]): Samples {
  const probed = visits.some(({ probes }) => probes !== undefined);
  return {
    seconds: visits.flatMap(({ seconds }) => seconds),
    ...(probed ? { probes: visits.flatMap(({ probes = [] }) => probes) } : {}),
  };
}

/**
 * Share of each group of samples: its rate over the mean of the two probes around it. A group without such a probe has
 * none.
 *
 * @param amount FLOPs or bytes of one sample
 */
export function sharesOf(
  { seconds, probes = [] }: Samples,
  amount: number,
  rate: (moment: Moment) => number | undefined,
): number[] {
  let first = 0;
  return probes.flatMap(({ samples, before, after }) => {
    const spent = sum(seconds.slice(first, first + samples));
    first += samples;
    const [one, other] = [rate(before), rate(after)];
    return one === undefined || other === undefined ? [] : [(amount * samples) / spent / ((one + other) / 2)];
  });
}
