/** Measurements as people read them in a terminal or in Markdown. */
import type { BenchKind, BenchReport, Figures, Measurement } from '../bench/measurement.ts';
import { figuresOf } from '../bench/measurement.ts';
import { probeSeconds } from '../bench/probe.ts';
import type { Profile, ProfileRow } from '../bench/profile.ts';
import type { Spread } from '../bench/statistics.ts';
import { formatBytes, formatCount, formatPercent, formatSeconds } from './format.ts';
import type { Column, Row } from './table.ts';

interface Shown {
  readonly title: string;
  /** Empty where a measurement has no such figure. */
  cell(measurement: Measurement, figures: Figures): string;
}

const time: Shown = { title: 'time', cell: (_, { seconds }) => formatSeconds(seconds.median) };
const around: Shown = {
  title: 'spread',
  cell: (_, { seconds }) => `${formatSeconds(seconds.low)} – ${formatSeconds(seconds.high)}`,
};
const tokens: Shown = {
  title: 'tokens/s',
  cell: (_, { tokensPerSecond }) => (tokensPerSecond === undefined ? '' : formatCount(tokensPerSecond)),
};
const mfu: Shown = { title: 'MFU', cell: (_, figures) => percents(figures.mfu) };
const mfuOfCeiling: Shown = { title: 'of ceiling', cell: (_, { ofCeiling }) => percent(ofCeiling.mfu) };
const hardware: Shown = { title: 'hardware', cell: (_, figures) => percents(figures.hardwareUtilisation) };
const hardwareOfCeiling: Shown = {
  title: 'of ceiling',
  cell: (_, { ofCeiling }) => percent(ofCeiling.hardwareUtilisation),
};
const rate: Shown = {
  title: 'FLOP/s',
  cell: (_, { flopsPerSecond }) => formatCount(flopsPerSecond),
};
const traffic: Shown = {
  title: 'bytes/s',
  cell: (_, { bytesPerSecond }) => formatCount(bytesPerSecond),
};
const needed: Shown = {
  title: 'needed',
  cell: ({ work }) => (work.neededBytes === undefined ? '' : formatBytes(work.neededBytes)),
};
const bandwidth: Shown = { title: 'of bandwidth', cell: (_, figures) => percents(figures.bandwidthShare) };
const bandwidthOfCeiling: Shown = {
  title: 'of ceiling',
  cell: (_, { ofCeiling }) => percent(ofCeiling.bandwidthShare),
};
/** Of what limits it: bandwidth where reading was probed, products elsewhere. */
const ofCeiling: Shown = {
  title: 'of ceiling',
  cell: (_, figures) =>
    percent(figures.bandwidthShare ? figures.ofCeiling.bandwidthShare : figures.ofCeiling.mfu),
};
const balance: Shown = { title: 'balance', cell: ({ laneBalance }) => laneBalance?.toFixed(3) ?? 'off' };
const planned: Shown = {
  title: 'planned',
  cell: ({ memory }) => (memory ? formatBytes(memory.planned) : ''),
};
const peak: Shown = {
  title: 'peak memory',
  cell: ({ memory }) => (memory ? (memory.peak === null ? 'unknown' : formatBytes(memory.peak)) : ''),
};
const precision: Shown = { title: 'precision', cell: (measurement) => measurement.precision };
const threads: Shown = { title: 'threads', cell: (measurement) => String(measurement.threads) };

const shown: Readonly<Record<BenchKind, readonly Shown[]>> = {
  train: [precision, threads, time, around, tokens, mfu, mfuOfCeiling, hardware, balance, planned, peak],
  generate: [precision, threads, time, around, tokens, needed, bandwidth, bandwidthOfCeiling],
  operators: [precision, time, around, tokens, rate, traffic, hardware, hardwareOfCeiling],
  lanes: [precision, threads, time, around, tokens, mfu, bandwidth, ofCeiling, balance],
  scaling: [precision, time, around, tokens, mfu, mfuOfCeiling, peak],
  peers: [precision, threads, time, around, tokens, mfu, bandwidth, mfuOfCeiling],
};

const textual = new Set(['precision']);

/** One row per measurement; the parts of the subject come first. */
export function measurementTable(
  { kind, machine }: Pick<BenchReport, 'kind' | 'machine'>,
  measurements: readonly Measurement[],
): { columns: readonly Column[]; rows: readonly Row[] } {
  const parts = [...new Set(measurements.flatMap(({ subject }) => Object.keys(subject)))];
  const cells = measurements.map((measurement) => {
    const figures = figuresOf(measurement, machine);
    return shown[kind].map(({ cell }) => cell(measurement, figures));
  });
  // A figure that none of them has is no column.
  const used = shown[kind].flatMap((_, index) => (cells.some((row) => row[index] !== '') ? [index] : []));
  const columns: Column[] = [
    ...parts.map((title) => {
      const numeric = measurements.every(({ subject }) => typeof subject[title] !== 'string');
      return { title, ...(numeric ? { align: 'right' as const } : {}) };
    }),
    ...used.map((index) => {
      const { title } = shown[kind][index];
      return textual.has(title) ? { title } : { title, align: 'right' as const };
    }),
  ];
  const rows = measurements.map(({ subject }, row) => [
    ...parts.map((part) => String(subject[part] ?? '')),
    ...used.map((index) => cells[row][index]),
  ]);
  return { columns, rows };
}

/** Measurements whose subjects have the same parts, each group a table of its own. */
export function measurementGroups(measurements: readonly Measurement[]): readonly (readonly Measurement[])[] {
  const groups = new Map<string, Measurement[]>();
  for (const measurement of measurements) {
    const parts = Object.keys(measurement.subject).join();
    const known = groups.get(parts);
    if (known) known.push(measurement);
    else groups.set(parts, [measurement]);
  }
  return [...groups.values()];
}

/** What the figures are shares of and how they were counted, in one paragraph. */
export function measurementNote({ kind, machine, environment }: BenchReport): string {
  const { float32, bfloat16 } = machine.peaks;
  const { read, readWrite, streamBytes } = machine.bandwidth;
  return (
    `Ceilings, the best of this call, measured before it${machine.probes ? ' and by every probe' : ''}: matrix product ${formatCount(float32.flopsPerSecond)}FLOP/s in float32 and ` +
    `${formatCount(bfloat16.flopsPerSecond)}FLOP/s in bfloat16 (${bfloat16.source}; ${sizes(bfloat16)}); memory ` +
    `${formatCount(read)}B/s read, ${formatCount(readWrite)}B/s read and written, streams of ${formatBytes(streamBytes)}. ` +
    `${probesNote(machine.probes)}` +
    `${environment.cpu}, ${environment.cores} CPUs${environment.isa ? `, ${environment.isa}` : ''}. ` +
    `Times are medians with their quarter points. ${explanation[kind]}`
  );
}

function probesNote(probes: readonly string[] | undefined): string {
  if (!probes) return '';
  return (
    'MFU, hardware utilisation and share of bandwidth are of what the machine did at that moment: the rate of each sample (or group ' +
    `of short ones) over the mean of two probes of ${probeSeconds} s, right before and right after it, as the median with its quarter ` +
    `points (probes: ${probes.join('; ')}). 'Of ceiling' is the same work over the median time and the ceiling of the whole call. `
  );
}

const explanation: Readonly<Record<BenchKind, string>> = {
  train:
    'A step is everything, optimizer included. MFU counts model FLOPs (3 × forward, head included, causal scores), hardware ' +
    'utilisation what the kernels executed.',
  generate:
    'Needed bytes: weights and states of one step, read once, states written where they change; their share of the read bandwidth.',
  operators:
    "Time of one run over all rows. 'inner' leaves out matrix products, which in a layer are its dense projections. " +
    'Hardware utilisation counts what the kernels executed.',
  lanes:
    "Own calls: what a lane's calls took, whoever did them. Busy: its threads at work, on those and, when they are done, on calls of " +
    'others. Balance: busy time of the lanes over (lanes × the slowest lane); without help: the same of own calls. The same program ' +
    'without lanes is measured in turn.',
  scaling: 'Probes and ceilings are of the most threads.',
  peers:
    'Every system ran in a process of its own, in turn with the others; only steps of Braid can have probes right around them.',
};

function sizes({ sizes: measured }: BenchReport['machine']['peaks']['float32']): string {
  return measured
    .map(({ m, k, n, flopsPerSecond }) => `${m}×${k}×${n} ${formatCount(flopsPerSecond)}`)
    .join(', ');
}

/** `61.2 % (58.0 – 63.1)`: the median with its quarter points. */
function percents(share: Spread | undefined): string {
  if (!share) return '';
  return `${formatPercent(share.median)} (${(share.low * 100).toFixed(1)} – ${(share.high * 100).toFixed(1)})`;
}

function percent(share: number | undefined): string {
  return share === undefined ? '' : formatPercent(share);
}

export const profileColumns: readonly Column[] = [
  { title: 'name' },
  { title: 'calls', align: 'right' },
  { title: 'time', align: 'right' },
  { title: 'share', align: 'right' },
  { title: 'FLOP/s', align: 'right' },
  { title: 'bytes/s', align: 'right' },
  { title: '× roofline', align: 'right' },
];

/** Operations or layers of a profile, the slowest first; at most `most`, and what remains in one row. */
export function profileRows(rows: readonly ProfileRow[], most = 25): Row[] {
  const cells = rows
    .slice(0, most)
    .map((row) => [
      row.name,
      String(row.calls),
      formatSeconds(row.seconds),
      formatPercent(row.share),
      row.flopsPerSecond > 0 ? formatCount(row.flopsPerSecond) : '',
      formatCount(row.bytesPerSecond),
      row.overRoofline === null ? '' : row.overRoofline.toFixed(1),
    ]);
  const rest = rows.slice(most);
  if (rest.length === 0) return cells;
  const total = (pick: (row: ProfileRow) => number) => rest.reduce((sum, row) => sum + pick(row), 0);
  const seconds = formatSeconds(total(({ seconds }) => seconds));
  const name = `${rest.length} more`;
  return [
    ...cells,
    [
      name,
      String(total(({ calls }) => calls)),
      seconds,
      formatPercent(total(({ share }) => share)),
      '',
      '',
      '',
    ],
  ];
}

export function profileNote({ program, runs, seconds, hostSeconds }: Profile): string {
  return (
    `Program '${program}', ${runs} runs with the clock read at every call, ${formatSeconds(seconds)} each and ` +
    `${formatSeconds(hostSeconds)} around a run without it. × roofline: time over the ` +
    'longer of FLOPs at the ceiling of their precision and bytes at that of the memory; below 1 where data came from caches.'
  );
}
