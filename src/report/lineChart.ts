/** Curves of several models over one quantity, such as loss by tokens. */
import { formatCount } from './format.ts';
import { element, hint, linearScale, text } from './svg.ts';

export interface Series {
  readonly name: string;
  /** Class of the colour: index into the page's palette, the same for a model in every chart. */
  readonly color: number;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LineChartOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly width?: number;
  readonly height?: number;
}

const margin = { left: 56, right: 128, top: 34, bottom: 44 };

/** An SVG with one line per series; names stand at the line ends, moved apart where they would touch. */
export function lineChart(series: readonly Series[], options: LineChartOptions): string {
  const width = options.width ?? 560;
  const height = options.height ?? 320;
  const points = series.flatMap((one) => one.points);
  if (points.length === 0) return '';
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const x = linearScale(Math.min(0, ...xs), Math.max(...xs), margin.left, width - margin.right);
  const y = linearScale(Math.min(...ys), Math.max(...ys), height - margin.bottom, margin.top);

  const parts = [text(options.title, { x: margin.left, y: 18, class: 'chart-title' })];
  for (const tick of y.ticks) {
    parts.push(gridLine(margin.left, width - margin.right, y.at(tick)));
    parts.push(text(formatCount(tick), { x: margin.left - 6, y: y.at(tick) + 4, class: 'tick end' }));
  }
  for (const tick of x.ticks) {
    parts.push(
      text(formatCount(tick), { x: x.at(tick), y: height - margin.bottom + 16, class: 'tick middle' }),
    );
  }
  parts.push(
    text(options.xLabel, {
      x: (margin.left + width - margin.right) / 2,
      y: height - 8,
      class: 'label middle',
    }),
  );
  parts.push(
    text(options.yLabel, { x: -(height / 2), y: 14, class: 'label middle', transform: 'rotate(-90)' }),
  );

  for (const one of series) {
    const path = one.points.map(
      ([px, py], i) => `${i === 0 ? 'M' : 'L'}${x.at(px).toFixed(1)} ${y.at(py).toFixed(1)}`,
    );
    parts.push(element('path', { d: path.join(''), class: `line color-${one.color}` }, [hint(one.name)]));
  }
  for (const { one, at } of spreadLabels(series, (value) => y.at(value), height - margin.bottom)) {
    parts.push(text(one.name, { x: width - margin.right + 6, y: at + 4, class: `fill-${one.color}` }));
  }
  return element(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': options.title },
    parts,
  );
}

function gridLine(from: number, to: number, y: number): string {
  return element('line', { x1: from, x2: to, y1: y, y2: y, class: 'grid' });
}

/** Places the names at the height of the last points, at least one line of text apart. */
function spreadLabels(
  series: readonly Series[],
  at: (value: number) => number,
  bottom: number,
): { one: Series; at: number }[] {
  const gap = 14;
  const placed = series
    .filter((one) => one.points.length > 0)
    .map((one) => ({ one, at: at(one.points[one.points.length - 1]?.[1] ?? 0) }))
    .sort((a, b) => a.at - b.at);
  for (let i = 1; i < placed.length; i++) {
    const before = placed[i - 1];
    const here = placed[i];
    if (before && here) here.at = Math.max(here.at, before.at + gap);
  }
  const last = placed[placed.length - 1];
  const overflow = last ? Math.max(0, last.at - bottom) : 0;
  for (const label of placed) label.at -= overflow;
  return placed;
}
