/** The comparison as people read it: one table for terminal and Markdown, and the report page with its charts. */
import type { Comparison, CurvePoint, ModelResult } from '../bench/results.ts';
import { barChart } from './barChart.ts';
import { paletteSize } from './chartStyle.ts';
import { formatBytes, formatCount, formatDuration, formatPercent } from './format.ts';
import { lineChart } from './lineChart.ts';
import { figures, htmlTable, page } from './page.ts';
import type { Column, Row } from './table.ts';

export const comparisonColumns: readonly Column[] = [
  { title: 'model' },
  { title: 'params', align: 'right' },
  { title: 'non-emb', align: 'right' },
  { title: 'FLOPs/token', align: 'right' },
  { title: 'tokens', align: 'right' },
  { title: 'FLOPs seen', align: 'right' },
  { title: 'tokens/s', align: 'right' },
  { title: 'MFU', align: 'right' },
  { title: 'balance', align: 'right' },
  { title: 'memory', align: 'right' },
  { title: 'train loss', align: 'right' },
  { title: 'valid bpb', align: 'right' },
];

/** One row per model, best validation first. */
export function comparisonRows(models: readonly ModelResult[]): Row[] {
  return [...models]
    .sort((a, b) => a.validationBitsPerByte - b.validationBitsPerByte)
    .map((model) => [
      model.name,
      formatCount(model.parameters.total),
      formatCount(model.parameters.nonEmbedding),
      formatCount(model.flopsPerToken.training),
      formatCount(model.tokensSeen),
      formatCount(model.flopsSeen),
      formatCount(model.tokensPerSecond),
      formatPercent(model.mfu),
      model.laneBalance === null ? 'off' : model.laneBalance.toFixed(2),
      model.peakMemoryBytes === null ? 'unknown' : formatBytes(model.peakMemoryBytes),
      model.trainingLoss.toFixed(3),
      model.validationBitsPerByte.toFixed(3),
    ]);
}

/** What the columns count, in one paragraph. */
export function comparisonNote(comparison: Comparison): string {
  const { peak, equal, batch, length } = comparison;
  const same = equal === 'tokens' ? 'the same tokens' : 'the same model FLOPs';
  return (
    `Every model saw ${same}, with the same settings and seed ${comparison.seed}; batch ${batch} × ${length}. ` +
    'FLOPs are model FLOPs of training (3 × forward, head included, causal scores). ' +
    'Tokens/s and MFU are those of the median step, optimizer included. ' +
    `MFU is against ${formatCount(peak.flopsPerSecond)}FLOP/s, the best ${peak.precision} matrix product measured ` +
    `in this call, before and after (${peak.source}). Balance is the busy time of the lanes over lanes × the slowest lane. ` +
    'Validation is in bits per byte over non-overlapping windows of the training length; one seed, so small differences mean nothing.'
  );
}

/** Bars of tokens per second with the line of MFU, one per model, each in the colour it has in the other charts. */
export function speedChart(models: readonly ModelResult[]): string {
  const bars = models.map((model, index) => ({
    name: model.name,
    color: index % paletteSize,
    value: model.tokensPerSecond,
    line: model.mfu,
  }));
  const labels = { valueLabel: 'tokens per second', lineLabel: 'MFU', formatLine: formatPercent };
  return barChart(bars, { title: 'Training speed', ...labels });
}

/** `report.html`: self-contained. */
export function comparisonPage(comparison: Comparison): string {
  const { models, environment } = comparison;
  const color = (model: ModelResult) => models.indexOf(model) % paletteSize;
  const curves = (x: (point: CurvePoint) => number, xLabel: string) =>
    lineChart(
      models.map((model) => ({
        name: model.name,
        color: color(model),
        points: smooth(model.curve).map((point) => [x(point), point.loss] as const),
      })),
      { title: `Training loss by ${xLabel}`, xLabel, yLabel: 'nats per token' },
    );
  const machine = Object.entries(environment).map(([key, value]) => [key, describe(value)]);
  const total = models.reduce((sum, model) => sum + model.trainingSeconds, 0);
  return page(
    'Braid: comparison',
    `${models.length} models on ${comparison.data.name}, ${comparison.created}; ${formatDuration(total)} of training.`,
    [
      {
        title: 'Figures',
        body: [htmlTable(comparisonColumns, comparisonRows(models))],
        note: comparisonNote(comparison),
      },
      { title: 'Speed', body: [figures([speedChart(models)])] },
      {
        title: 'Loss',
        body: [
          figures([
            curves((point) => point.tokens, 'tokens'),
            curves((point) => point.flops, 'model FLOPs'),
            curves((point) => point.seconds, 'seconds'),
          ]),
        ],
        note: 'Each point is the mean over a thirtieth of the run.',
      },
      { title: 'Where it was measured', body: [htmlTable([{ title: 'what' }, { title: 'value' }], machine)] },
    ],
  );
}

/** Means over thirty equal pieces of a curve, so that the lines can be told apart. */
function smooth(curve: readonly CurvePoint[], pieces = 30): CurvePoint[] {
  const size = Math.max(1, Math.ceil(curve.length / pieces));
  const result: CurvePoint[] = [];
  for (let start = 0; start < curve.length; start += size) {
    const piece = curve.slice(start, start + size);
    const last = piece[piece.length - 1];
    if (last) result.push({ ...last, loss: piece.reduce((sum, { loss }) => sum + loss, 0) / piece.length });
  }
  return result;
}

function describe(value: unknown): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}
