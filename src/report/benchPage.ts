/** A benchmark as a self-contained page: table, speed by subject, cost by length, roofline, profiles. */
import type { BenchReport, Measurement } from '../bench/measurement.ts';
import { describeSubject, figuresOf } from '../bench/measurement.ts';
import type { Profile } from '../bench/profile.ts';
import { spread } from '../bench/statistics.ts';
import { barChart } from './barChart.ts';
import {
  measurementGroups,
  measurementNote,
  measurementTable,
  profileColumns,
  profileNote,
  profileRows,
} from './benchTable.ts';
import { paletteSize } from './chartStyle.ts';
import { formatPercent } from './format.ts';
import { laneColumns, laneRows, laneVerdict } from './laneTable.ts';
import { lineChart } from './lineChart.ts';
import { figures, htmlTable, page, type Section } from './page.ts';
import { rooflineChart } from './rooflineChart.ts';

/** The part of a subject along which a cost is drawn. */
const alongParts = ['length', 'position', 'threads', 'batch'] as const;

export function benchPage(report: BenchReport): string {
  const { kind, created, environment, measurements } = report;
  const tables = measurementGroups(measurements).map((alike) => {
    const { columns, rows } = measurementTable(report, alike);
    return htmlTable(columns, rows);
  });
  const charts = [speedChart(report), ...alongParts.map((part) => costChart(report, part))].filter(
    (chart) => chart !== '',
  );
  const sections: Section[] = [
    { title: 'Figures', body: tables, note: measurementNote(report) },
    ...(charts.length > 0 ? [{ title: 'Speed', body: [figures(charts)] }] : []),
    {
      title: 'Roofline',
      body: [figures([measurementRoofline(report)])],
      note: 'FLOPs and bytes are those that the kernels execute; a point above the slope found its data in a cache.',
    },
    ...(report.lanes ?? []).map((found) => ({
      title: `${describeSubject(found.subject)}: blocks`,
      body: [htmlTable(laneColumns, laneRows(found))],
      note: laneVerdict(found),
    })),
    ...measurements.flatMap((measurement) => profileSections(measurement, report.machine)),
    {
      title: 'Where it was measured',
      body: [
        htmlTable(
          [{ title: 'what' }, { title: 'value' }],
          Object.entries(environment).map(([key, value]) => [key, String(value)]),
        ),
      ],
    },
  ];
  return page(`Braid: bench ${kind}`, `${measurements.length} measurements, ${created}.`, sections);
}

/**
 * Tokens per second and MFU side by side, as in FlowHN's figure; where one of them was not probed, the shares of the ceiling.
 * Empty where nothing counts tokens and FLOPs.
 */
function speedChart({ machine, measurements }: BenchReport): string {
  const all = measurements.map((measurement) => figuresOf(measurement, machine));
  const probed = all.every(({ mfu }) => mfu !== undefined);
  const bars = all.flatMap(({ tokensPerSecond, mfu, ofCeiling }, index) => {
    const line = probed ? mfu?.median : ofCeiling.mfu;
    if (tokensPerSecond === undefined || line === undefined) return [];
    const name = describeSubject(measurements[index].subject);
    return [{ name, color: index % paletteSize, value: tokensPerSecond, line }];
  });
  const lineLabel = probed ? 'MFU' : 'MFU against the ceiling';
  const labels = { valueLabel: 'tokens per second', lineLabel, formatLine: formatPercent };
  return barChart(bars, { title: 'Speed', ...labels });
}

/** Time per token along a part of the subjects, one line for those that differ in nothing else. */
function costChart({ measurements }: BenchReport, part: string): string {
  const lines = new Map<string, [number, number][]>();
  for (const { subject, seconds, work } of measurements) {
    const { [part]: along, ...rest } = subject;
    if (typeof along !== 'number' || work.tokens === undefined) continue;
    const name = describeSubject(rest);
    const points = lines.get(name) ?? [];
    lines.set(name, points);
    points.push([along, (spread(seconds).median / work.tokens) * 1e6]);
  }
  const series = [...lines]
    .map(([name, points], index) => ({
      name,
      color: index % paletteSize,
      points: points.sort(([a], [b]) => a - b),
    }))
    .filter(({ points }) => points.length > 1);
  return lineChart(series, { title: `Cost by ${part}`, xLabel: part, yLabel: 'µs per token' });
}

function measurementRoofline({ machine, measurements }: BenchReport): string {
  const points = measurements.map((measurement, index) => ({
    name: describeSubject(measurement.subject),
    color: index % paletteSize,
    flopsPerByte: measurement.work.executedFlops / measurement.work.executedBytes,
    flopsPerSecond: figuresOf(measurement, machine).flopsPerSecond,
  }));
  return rooflineChart(points, { title: 'Roofline', ...roofs(machine) });
}

function roofs({ peaks, bandwidth }: BenchReport['machine']) {
  return {
    bandwidth: Math.max(bandwidth.read, bandwidth.readWrite),
    roofs: [
      { name: 'bfloat16', flopsPerSecond: peaks.bfloat16.flopsPerSecond },
      { name: 'float32', flopsPerSecond: peaks.float32.flopsPerSecond },
    ],
  };
}

function profileRoofline({ operations }: Profile, machine: BenchReport['machine']): string {
  const points = operations.map(({ name, flopsPerSecond, bytesPerSecond }, index) => ({
    name,
    color: index % paletteSize,
    flopsPerByte: flopsPerSecond / bytesPerSecond,
    flopsPerSecond,
  }));
  return rooflineChart(points, { title: 'Roofline of the operations', ...roofs(machine) });
}

function profileSections({ subject, profile }: Measurement, machine: BenchReport['machine']): Section[] {
  if (!profile) return [];
  const name = describeSubject(subject);
  return [
    {
      title: `${name}: operations`,
      body: [
        figures([profileRoofline(profile, machine)]),
        htmlTable(profileColumns, profileRows(profile.operations, 60)),
      ],
      note: profileNote(profile),
    },
    { title: `${name}: layers`, body: [htmlTable(profileColumns, profileRows(profile.layers, 200))] },
  ];
}
