/** Bars of one figure per model with the line of a second one: tokens per second and MFU, as in FlowHN's figure. */
import { formatCount } from './format.ts';
import { element, hint, linearScale, text } from './svg.ts';

export interface Bar {
  readonly name: string;
  readonly color: number;
  readonly value: number;
  /** Second figure, drawn as a point on a line; absent where it was not measured. */
  readonly line?: number | undefined;
}

export interface BarChartOptions {
  readonly title: string;
  readonly valueLabel: string;
  readonly lineLabel: string;
  readonly formatLine: (value: number) => string;
  readonly width?: number;
  readonly height?: number;
}

const margin = { left: 64, right: 64, top: 34, bottom: 66 };

/** An SVG: bars against the left axis, the line against the right one, both from zero. */
export function barChart(bars: readonly Bar[], options: BarChartOptions): string {
  if (bars.length === 0) return '';
  const width = options.width ?? Math.max(560, 90 * bars.length + margin.left + margin.right);
  const height = options.height ?? 340;
  const floor = height - margin.bottom;
  const values = linearScale(0, Math.max(...bars.map(({ value }) => value)) * 1.12, floor, margin.top);
  const lines = bars.map(({ line }) => line ?? 0);
  const second = linearScale(0, (Math.max(...lines) || 1) * 1.25, floor, margin.top);
  const slot = (width - margin.left - margin.right) / bars.length;
  const center = (i: number) => margin.left + slot * (i + 0.5);

  const parts = [text(options.title, { x: margin.left, y: 18, class: 'chart-title' })];
  for (const tick of values.ticks) {
    const y = values.at(tick);
    parts.push(element('line', { x1: margin.left, x2: width - margin.right, y1: y, y2: y, class: 'grid' }));
    parts.push(text(formatCount(tick), { x: margin.left - 6, y: y + 4, class: 'tick end' }));
  }
  for (const tick of second.ticks) {
    parts.push(
      text(options.formatLine(tick), { x: width - margin.right + 6, y: second.at(tick) + 4, class: 'tick' }),
    );
  }
  bars.forEach((bar, i) => {
    const y = values.at(bar.value);
    const box = { x: center(i) - slot * 0.3, y, width: slot * 0.6, height: floor - y, rx: 2 };
    parts.push(
      element('rect', { ...box, class: `fill-${bar.color}` }, [
        hint(`${bar.name}: ${formatCount(bar.value)}`),
      ]),
    );
    parts.push(text(formatCount(bar.value), { x: center(i), y: floor - 6, class: 'bar-value middle' }));
    const at = `rotate(-18 ${center(i)} ${floor + 18})`;
    parts.push(text(bar.name, { x: center(i), y: floor + 18, class: 'tick middle', transform: at }));
  });
  parts.push(secondLine(bars, center, (value) => second.at(value), options));
  const middle = margin.top + (floor - margin.top) / 2;
  parts.push(
    text(options.valueLabel, { x: -middle, y: 14, class: 'label middle', transform: 'rotate(-90)' }),
  );
  parts.push(
    text(options.lineLabel, { x: middle, y: 10 - width, class: 'label middle', transform: 'rotate(90)' }),
  );
  return element(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': options.title },
    parts,
  );
}

function secondLine(
  bars: readonly Bar[],
  x: (i: number) => number,
  y: (value: number) => number,
  options: BarChartOptions,
): string {
  const points = bars.flatMap((bar, i) => (bar.line === undefined ? [] : [{ bar, x: x(i), y: y(bar.line) }]));
  const path = points
    .map((point, i) => `${i === 0 ? 'M' : 'L'}${point.x.toFixed(1)} ${point.y.toFixed(1)}`)
    .join('');
  const marks = points.flatMap((point) => [
    element('circle', { cx: point.x, cy: point.y, r: 4, class: 'second-mark' }, [
      hint(`${point.bar.name}: ${options.formatLine(point.bar.line ?? 0)}`),
    ]),
    text(options.formatLine(point.bar.line ?? 0), {
      x: point.x,
      y: point.y - 9,
      class: 'second-label middle',
    }),
  ]);
  return element('g', {}, [element('path', { d: path, class: 'second-line' }), ...marks]);
}
