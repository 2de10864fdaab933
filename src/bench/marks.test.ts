/** The table of marks (bench/marks) made from reports with round figures: every row finds what it needs. */
import { describe, expect, it } from 'vitest';
import { figuresOf, type Measurement, type Subject } from './measurement.ts';
import { measurement, report, roundMachine } from './testing.ts';

interface Part {
  readonly label: string;
  readonly figure: number;
  readonly mark: number;
  readonly reached: boolean;
}

interface Marks {
  readonly rows: readonly {
    readonly name: string;
    readonly needs: readonly string[];
    parts(reports: Readonly<Record<string, unknown>>): readonly Part[];
  }[];
  readonly calls: Readonly<Record<string, readonly string[]>>;
  readonly timings: readonly string[];
}

const { rows, calls, timings } = (await import(
  new URL('../../bench/marks/rows.mjs', import.meta.url).href
)) as Marks;

const moment = { flopsPerSecond: 100, readBytesPerSecond: 10 };

/** Takes so many seconds; 10 tokens, 100 model FLOPs, 5 needed bytes; probes of 100 FLOP/s and 10 bytes per second. */
function taking(seconds: number, subject: Subject, more: Partial<Measurement> = {}): Measurement {
  const probes = [{ samples: 1, before: moment, after: moment }];
  const one = measurement({ subject, seconds: [seconds], probes, ...more });
  return { ...one, figures: figuresOf(one, roundMachine) };
}

const memory = { planned: 1e9, peak: 1.25e9, arenaOverLive: 1.02 };
const models = [
  'llama',
  'flowhn-none',
  'flowhn-fac',
  'flowhn-chunks',
  'mamba2',
  'mamba1',
  'hymba',
  'stripedhyena',
];

const products = report(
  [1, 0.9, 0.8].map((seconds, index) =>
    taking(seconds, { product: 'a', system: ['braid', 'oneDNN 3', 'oneDNN 3, packed'][index] }),
  ),
);

function peers(...names: string[]) {
  return report(
    names.flatMap((model) => [
      taking(1, { model, system: 'braid' }),
      taking(6, { model, system: 'PyTorch 2' }),
      taking(4, { model, system: 'PyTorch 2' }, { precision: 'bfloat16' }),
    ]),
  );
}

function layers(lengths: readonly number[], seconds: Readonly<Record<string, number>>) {
  return report(
    lengths.flatMap((length) =>
      Object.entries(seconds).flatMap(([layer, time]) =>
        ['whole', 'inner'].map((part) => taking(time, { layer, part, phase: 'training', length })),
      ),
    ),
  );
}

const lengths = [512, 1024, 4096];
const reports = {
  productsLow: products,
  productsFull: products,
  train: report(models.map((model) => taking(2, { model: `${model}-135m` }, { memory }))),
  torch: peers('llama-135m'),
  torchHybrids: peers('flowhn-none-135m', 'mamba1-135m'),
  torchOthers: peers('llama-135m'),
  recurrence: peers('mamba1-135m'),
  lanes: {
    ...report(lengths.map((length) => taking(1, { model: 'f', length, lanes: 'on' }, { laneBalance: 0.96 }))),
    lanes: lengths.map((length) => ({ subject: { length }, groups: [{ evenness: 0.8 }], speedup: 1.1 })),
  },
  hyena: layers([2048, 8192], { attention: 3, mamba2: 1.5, 'hyena-se': 1, 'hyena-mr': 1 }),
  long: layers([1024, 32768], { mamba1: 1, mamba2: 1, 'hyena-se': 1, 'hyena-mr': 1, 'hyena-li': 1 }),
  generate: report([taking(0.625, { model: 'llama-135m' })]),
  nano: report([
    taking(1, { model: 'llama-nano' }, { profile: { ...profile(), hostSeconds: 0.02, seconds: 0.98 } }),
  ]),
  nanoShort: report([
    taking(1, { model: 'llama-nano' }, { profile: { ...profile(), hostSeconds: 0.02, seconds: 0.98 } }),
  ]),
  help: 0.2,
  compile: 33,
};

function profile() {
  return { program: 'train', runs: 1, seconds: 1, hostSeconds: 0, operations: [], layers: [] };
}

const parts = new Map(rows.map((row) => [row.name, row.parts(reports)]));
const figures = (beginning: string): readonly number[] =>
  [...parts].find(([name]) => name.startsWith(beginning))?.[1].map(({ figure }) => figure) ?? [];

describe('the table of marks', () => {
  it('has rows that need only what is measured, and uses all of it', () => {
    const measured = [...Object.keys(calls), ...timings].sort();
    expect([...new Set(rows.flatMap(({ needs }) => needs))].sort()).toEqual(measured);
    for (const found of parts.values()) {
      expect(found.length).toBeGreaterThan(0);
      for (const { figure, mark } of found) expect(Number.isFinite(figure) && mark > 0).toBe(true);
    }
  });

  it('reads ratios the right way round', () => {
    expect(figures('built-in matrix product')).toEqual([0.9, 0.9]);
    expect(figures('training MFU')).toEqual(models.map(() => 0.5));
    expect(figures('training tokens/s over PyTorch')).toEqual([6, 4]);
    expect(figures('training tokens/s over the best PyTorch')).toEqual([4, 4]);
    expect(figures('the same over an older PyTorch')).toEqual([6, 4]);
    expect(figures('routed over no-split')).toEqual([1, 1]);
    expect(figures('Hyena over attention').slice(0, 6)).toEqual([3, 1.5, 3, 1.5, 3, 1.5]);
    expect(figures('cost of a token')).toEqual([1, 1, 1, 1, 1]);
    expect(figures('generation at batch 1')[0]).toBeCloseTo(0.8);
    expect(figures('around the native call')[0]).toBeCloseTo(0.02);
    expect(figures('arena over live')).toEqual([1.02, 1.05]);
  });

  it('tells what missed its mark', () => {
    const [first] = parts.get(rows.find(({ name }) => name.startsWith('training MFU'))?.name ?? '') ?? [];
    expect(first).toMatchObject({ label: 'llama-135m', reached: false });
    const [lane] = [...parts]
      .filter(([name]) => name.startsWith('lane balance'))
      .flatMap(([, found]) => found);
    expect(lane.reached).toBe(true);
  });

  it('stops where a report lacks what a row needs', () => {
    const row = rows.find(({ name }) => name.startsWith('training MFU'));
    expect(() => row?.parts({ ...reports, train: report([]) })).toThrow(/nothing was measured for/);
  });
});
