/** A comparison as people read it: one table for terminal and Markdown, what it does not show, and the page with charts. */
import { threadCount } from '../bench/threadCount.ts';
import { barChart } from '../report/barChart.ts';
import { paletteSize } from '../report/chartStyle.ts';
import { formatBytes, formatCount, formatDuration, formatPercent } from '../report/format.ts';
import { lineChart } from '../report/lineChart.ts';
import type { Section } from '../report/page.ts';
import { figures, htmlTable, page } from '../report/page.ts';
import { scatterChart } from '../report/scatterChart.ts';
import type { Column, Row as TableRow } from '../report/table.ts';
import type { CurvePoint, ValidationPoint } from './cell.ts';
import type { ComparisonResult, RowResult } from './results.ts';
import { averageOf, headlines } from './taskFigures.ts';

const figureColumns: readonly Column[] = [
  { title: 'model' },
  { title: 'params', align: 'right' },
  { title: 'non-emb', align: 'right' },
  { title: 'FLOPs/token', align: 'right' },
  { title: 'tokens', align: 'right' },
  { title: 'FLOPs seen', align: 'right' },
  { title: 'seconds', align: 'right' },
  { title: 'tokens/s', align: 'right' },
  { title: 'MFU', align: 'right' },
  { title: 'balance', align: 'right' },
  { title: 'memory', align: 'right' },
  { title: 'train loss', align: 'right' },
  { title: 'valid bpb', align: 'right' },
  { title: '±', align: 'right' },
  { title: 'alike' },
];

/** The table of a comparison: one row per model, best validation first; tasks, where there were some, come last. */
export function comparisonTable({ rows }: ComparisonResult): { columns: Column[]; rows: TableRow[] } {
  const tasks = headlines(rows[0]?.tasks ?? []);
  const taskColumns = tasks.map(({ task }): Column => ({ title: task, align: 'right' }));
  const average: Column[] = tasks.length > 1 ? [{ title: 'average', align: 'right' }] : [];
  return {
    columns: [...figureColumns, ...taskColumns, ...average],
    rows: rows.map((row) => [
      ...figuresOfRow(row),
      ...headlines(row.tasks).map(
        ({ value, standardError = 0 }) => `${(100 * value).toFixed(1)} ± ${(100 * standardError).toFixed(1)}`,
      ),
      ...(tasks.length > 1 ? [(100 * averageOf(row.tasks)).toFixed(1)] : []),
    ]),
  };
}

function figuresOfRow(row: RowResult): string[] {
  return [
    row.name,
    formatCount(row.parameters.total),
    formatCount(row.parameters.nonEmbedding),
    formatCount(row.flopsPerToken.training),
    formatCount(row.tokensSeen),
    formatCount(row.flopsSeen),
    row.trainingSeconds.toFixed(row.trainingSeconds < 100 ? 1 : 0),
    formatCount(row.tokensPerSecond),
    row.mfu === null ? 'no peak' : formatPercent(row.mfu),
    row.laneBalance === null ? 'off' : row.laneBalance.toFixed(2),
    row.peakMemoryBytes === null ? 'unknown' : formatBytes(row.peakMemoryBytes),
    row.trainingLoss.toFixed(3),
    row.bitsPerByte.value.toFixed(3),
    (row.bitsPerByte.high - row.bitsPerByte.value).toFixed(3),
    row.letters,
  ];
}

const sameness: Readonly<Record<ComparisonResult['equal'], string>> = {
  tokens: 'the same tokens',
  flops: 'the same model FLOPs',
  seconds: 'the same seconds of training, by step times measured before',
};

/** What the columns count, and how far they reach, in one paragraph. */
export function comparisonNote(comparison: ComparisonResult): string {
  const { equal, batch, length, seeds, data } = comparison;
  return [
    `Every model got ${sameness[equal]}, with the same settings; batch ${batch} × ${length}; ${ratesNote(comparison)}`,
    'FLOPs are model FLOPs of training (3 × forward, head included, causal scores).',
    `${speedNote(comparison)} ${peakNote(comparison)}`,
    'Balance is the busy time of the lanes over lanes × the slowest lane.',
    `Validation is in bits per byte on ${data.validationDocuments} documents, in windows of the training length that do not`,
    `overlap; ± is half the 95 % interval over ${over(seeds.length)}. Rows that share a letter under 'alike' cannot be told apart`,
    '(paired bootstrap on the same documents and seeds, p ≥ 0.05 after Holm for all pairs).',
    seeds.length === 1
      ? 'One seed: the interval says nothing of the chance in training, which is often larger.'
      : '',
    tasksNote(comparison),
  ]
    .filter((sentence) => sentence !== '')
    .join(' ');
}

function speedNote({ shared, threads }: ComparisonResult): string {
  const step = 'Tokens/s and MFU are those of the median step, optimizer included';
  if (!shared) return `${step}.`;
  return (
    `Several runs trained at the same time, with ${threadCount(threads)} each: seconds, tokens/s and MFU are of ` +
    `steps that every model did alone on so many threads before, in turns. ${step}.`
  );
}

function tasksNote({ rows }: ComparisonResult): string {
  const tasks = headlines(rows[0]?.tasks ?? []);
  if (tasks.length === 0) return '';
  const each = tasks.map(({ task, metric, examples, chance }) => {
    const guess = chance === undefined ? '' : `, chance ${(100 * chance).toFixed(1)}`;
    return `${task} ${metric} on ${examples} questions${guess}`;
  });
  return `Tasks in per cent ± standard error, as lm-evaluation-harness scores them: ${each.join('; ')}.`;
}

function over(seeds: number): string {
  return seeds === 1 ? 'documents' : `documents and ${seeds} seeds`;
}

function ratesNote({ rates }: ComparisonResult): string {
  if (rates.kind === 'fixed') return 'one learning rate for all.';
  if (rates.kind === 'kaplan') return "learning rates by Kaplan et al.'s rule from the parameters.";
  return (
    `each model with the best of the learning rates ${rates.rates.join(', ')}, chosen on one seed and on every ` +
    'second document; only the other documents are reported.'
  );
}

function peakNote({ peak }: ComparisonResult): string {
  if (!peak) return 'There is no MFU: the plain executor is no measure of the machine.';
  return (
    `MFU is of the median step against ${formatCount(peak.flopsPerSecond)}FLOP/s, the best ${peak.precision} matrix product ` +
    `measured in this call, before and after (${peak.source}): a ceiling, which a shared machine does not reach all the time.`
  );
}

/** Every pair with its difference, the surest first. */
export function pairTable({ rows, pairs }: ComparisonResult): { columns: Column[]; rows: TableRow[] } {
  const right = (title: string): Column => ({ title, align: 'right' });
  return {
    columns: [
      { title: 'better' },
      { title: 'worse' },
      right('difference'),
      right('95 %'),
      right('p, adjusted'),
    ],
    rows: [...pairs]
      .sort((a, b) => a.adjusted - b.adjusted || a.value - b.value)
      .map(({ first, second, value, low, high, adjusted }) => [
        rows[first].name,
        rows[second].name,
        (-value).toFixed(4),
        `${(-high).toFixed(4)} … ${(-low).toFixed(4)}`,
        adjusted < 0.0001 ? '< 0.0001' : adjusted.toFixed(4),
      ]),
  };
}

/** The models in the order of their names, so that colours do not depend on the outcome. */
function colorsOf(rows: readonly RowResult[]): ReadonlyMap<string, number> {
  const names = rows.map(({ name }) => name).sort();
  return new Map(names.map((name, index) => [name, index % paletteSize]));
}

/** Bars of tokens per second with the line of MFU, one per model. */
export function speedChart({ rows }: ComparisonResult): string {
  const colors = colorsOf(rows);
  const bars = rows.map(({ name, tokensPerSecond, mfu }) => ({
    name,
    color: colors.get(name) ?? 0,
    value: tokensPerSecond,
    line: mfu ?? 0,
  }));
  const labels = { valueLabel: 'tokens per second', lineLabel: 'MFU', formatLine: formatPercent };
  return barChart(bars, { title: 'Training speed', ...labels });
}

/** Quality over one cost. */
export function qualityChart(
  comparison: ComparisonResult,
  xLabel: string,
  cost: (row: RowResult) => number,
): string {
  const colors = colorsOf(comparison.rows);
  return scatterChart(
    comparison.rows.map((row) => ({
      name: row.name,
      color: colors.get(row.name) ?? 0,
      x: cost(row),
      y: row.bitsPerByte.value,
      low: row.bitsPerByte.low,
      high: row.bitsPerByte.high,
    })),
    { title: `Validation by ${xLabel}`, xLabel, yLabel: 'bits per byte' },
  );
}

/** Loss over the tokens of context before the prediction. */
export function contextChart({ rows }: ComparisonResult): string {
  const colors = colorsOf(rows);
  return lineChart(
    rows.map(({ name, contexts }) => ({
      name,
      color: colors.get(name) ?? 0,
      points: contexts.map(({ to, loss }) => [Math.log2(to), loss] as const),
    })),
    { title: 'Loss by context', xLabel: 'log2 of the tokens seen before', yLabel: 'nats per token' },
  );
}

function curves({ rows }: ComparisonResult, x: (point: CurvePoint) => number, xLabel: string): string {
  const colors = colorsOf(rows);
  return lineChart(
    rows.map(({ name, curve }) => ({
      name,
      color: colors.get(name) ?? 0,
      points: curve.map((point) => [x(point), point.loss] as const),
    })),
    { title: `Training loss by ${xLabel}`, xLabel, yLabel: 'nats per token' },
  );
}

/** Validation while training, over one cost; nothing where it was not asked for. */
function validations(
  { rows }: ComparisonResult,
  x: (point: ValidationPoint) => number,
  xLabel: string,
): string[] {
  if (rows.every(({ validations: points }) => points.length === 0)) return [];
  const colors = colorsOf(rows);
  const lines = rows.map(({ name, validations: points }) => ({
    name,
    color: colors.get(name) ?? 0,
    points: points.map((point) => [x(point), point.bitsPerByte] as const),
  }));
  return [lineChart(lines, { title: `Validation by ${xLabel}`, xLabel, yLabel: 'bits per byte' })];
}

/** The parts of a page that show one comparison. */
export function comparisonSections(comparison: ComparisonResult): Section[] {
  const pairs = pairTable(comparison);
  const table = comparisonTable(comparison);
  return [
    {
      title: 'Figures',
      body: [htmlTable(table.columns, table.rows)],
      note: comparisonNote(comparison),
    },
    {
      title: 'Quality by cost',
      body: [
        figures([
          qualityChart(comparison, 'FLOPs seen', ({ flopsSeen }) => flopsSeen),
          qualityChart(comparison, 'seconds of training', ({ trainingSeconds }) => trainingSeconds),
          qualityChart(comparison, 'parameters', ({ parameters }) => parameters.nonEmbedding),
        ]),
      ],
      note: 'Bars are 95 % intervals; the line joins the models that nothing cheaper beats. Parameters are those outside embedding and head.',
    },
    { title: 'Speed', body: [figures([speedChart(comparison)])] },
    {
      title: 'Loss',
      body: [
        figures([
          curves(comparison, (point) => point.tokens, 'tokens'),
          curves(comparison, (point) => point.flops, 'model FLOPs'),
          curves(comparison, (point) => point.seconds, 'seconds'),
          ...validations(comparison, (point) => point.tokens, 'tokens'),
          ...validations(comparison, (point) => point.flops, 'model FLOPs'),
          ...validations(comparison, (point) => point.seconds, 'seconds'),
          contextChart(comparison),
        ]),
      ],
      note:
        'Training curves are those of the first seed, each point the mean over a hundredth of the run. Validations while training, where ' +
        'train.validateEvery asks for them, are on the first train.validateRows windows (all, if 0).',
    },
    ...(pairs.rows.length > 0 ? [{ title: 'Every pair', body: [htmlTable(pairs.columns, pairs.rows)] }] : []),
  ];
}

export function environmentSection({ environment }: ComparisonResult): Section {
  const rows = Object.entries(environment).map(([key, value]) => [
    key,
    typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value),
  ]);
  return { title: 'Where it was measured', body: [htmlTable([{ title: 'what' }, { title: 'value' }], rows)] };
}

/** `report.html`: self-contained. */
export function comparisonPage(comparison: ComparisonResult): string {
  const { rows, seeds, data, created } = comparison;
  const total = rows.reduce((sum, row) => sum + row.trainingSeconds * row.seeds.length, 0);
  return page(
    'Braid: comparison',
    `${rows.length} models, ${seeds.length} seed(s), on ${data.name}, ${created}; ${formatDuration(total)} of training.`,
    [...comparisonSections(comparison), environmentSection(comparison)],
  );
}
