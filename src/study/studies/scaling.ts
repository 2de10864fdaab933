import { parseModelConfig } from '../../models/index.ts';
import { formatCount } from '../../report/format.ts';
import type { Section } from '../../report/page.ts';
import { figures, htmlTable } from '../../report/page.ts';
import { scatterChart } from '../../report/scatterChart.ts';
import { isoFlop } from '../isoFlop.ts';
import type { ComparisonResult } from '../results.ts';
import type { SmallSize, Study } from './study.ts';

const widths: Readonly<Record<SmallSize, readonly number[]>> = {
  nano: [64, 96, 128, 192],
  '10m': [128, 192, 256, 384],
};

const families: Readonly<Record<string, (heads: number) => Readonly<Record<string, unknown>>>> = {
  attention: (heads) => ({ pattern: 'attention+mlp*6', attention: { heads, kvHeads: 1, headDim: 32 } }),
  mamba2: (heads) => ({ pattern: 'mamba2+mlp*6', mamba2: { heads: 2 * heads, headDim: 32, state: 32 } }),
  inter: (heads) => ({
    pattern: 'mamba2+mlp*2 attention+mlp mamba2+mlp*2 attention+mlp',
    attention: { heads, kvHeads: 1, headDim: 32 },
    mamba2: { heads: 2 * heads, headDim: 32, state: 32 },
  }),
  intra: (heads) => ({
    pattern: '(attention & mamba2)+mlp*6',
    attention: { heads, kvHeads: 1, headDim: 16, valueDim: 32 },
    mamba2: { heads, headDim: 32, state: 32 },
    fusion: { type: 'sum', norm: true },
  }),
};

/** Bae et al. (2025), scaling: models of several sizes for the same FLOPs, three budgets, each three times the one before. */
export const scaling: Study = {
  name: 'scaling',
  summary: 'isoFLOP curves: the best size of each family for its FLOPs',
  question:
    'How large should a model of each family be for the FLOPs at hand, and does the best size grow alike?',
  parts: (size) => {
    const rows = Object.entries(families).flatMap(([family, sections]) =>
      widths[size].map((width) => ({
        name: `${family} ${width}`,
        group: family,
        model: parseModelConfig({
          ...{ width, vocabulary: 257, mlp: { width: (8 / 3) * width - (((8 / 3) * width) % 16) } },
          ...sections(width / 32),
        }),
      })),
    );
    return [1, 3, 9].map((times) => ({
      name: `flops-x${times}`,
      title: `Equal FLOPs, ${times} × the smallest budget`,
      rows,
      equal: 'flops' as const,
      share: times / 13,
    }));
  },
  conclude: (results) => [{ ...bestSizes(results) }, ...results.map(curve)],
};

function bestSizes(results: readonly ComparisonResult[]): Section {
  const right = (title: string) => ({ title, align: 'right' as const });
  const rows = results.flatMap((result) =>
    isoFlop(result).map(({ group, flops, best }) => [
      group,
      formatCount(flops),
      best ? formatCount(best.parameters) : 'outside the sizes tried',
      best ? `${formatCount(best.low)} … ${formatCount(best.high)}` : '',
      best ? best.bitsPerByte.toFixed(3) : '',
    ]),
  );
  return {
    title: 'Best sizes',
    body: [
      htmlTable(
        [{ title: 'family' }, right('FLOPs'), right('best size'), right('95 %'), right('bits per byte')],
        rows,
      ),
    ],
    note:
      'The minimum of a parabola in the logarithm of the parameters outside embedding and head; its interval from 1000 ' +
      'draws of the bits per byte within theirs. A family whose parabola has no minimum among the sizes tried has none here.',
  };
}

function curve(result: ComparisonResult): Section {
  const groups = [...new Set(result.rows.map(({ group }) => group))].sort();
  const points = result.rows.map(({ name, group, parameters, bitsPerByte }) => ({
    name,
    color: groups.indexOf(group),
    x: parameters.nonEmbedding,
    y: bitsPerByte.value,
    low: bitsPerByte.low,
    high: bitsPerByte.high,
  }));
  const labels = { xLabel: 'parameters', yLabel: 'bits per byte' };
  return { title: result.name, body: [figures([scatterChart(points, { title: result.name, ...labels })])] };
}
