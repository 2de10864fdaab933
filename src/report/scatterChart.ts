/** Models as points over a cost, with the Pareto front: those that nothing cheaper or equal is better than. */
import { formatCount } from './format.ts';
import { element, hint, linearScale, logScale, text } from './svg.ts';

export interface ScatterPoint {
  readonly name: string;
  readonly color: number;
  /** The cost, above 0. */
  readonly x: number;
  /** The loss, with the ends of its interval. */
  readonly y: number;
  readonly low: number;
  readonly high: number;
}

export interface ScatterOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly width?: number;
  readonly height?: number;
}

const margin = { left: 56, right: 24, top: 34, bottom: 44 };

/** The points that no other one beats in both, by growing cost. */
export function paretoFront<Point extends { readonly x: number; readonly y: number }>(
  points: readonly Point[],
): Point[] {
  const front: Point[] = [];
  for (const point of [...points].sort((a, b) => a.x - b.x || a.y - b.y)) {
    const last = front[front.length - 1];
    if (!last || point.y < last.y) front.push(point);
  }
  return front;
}

/** An SVG with a logarithmic cost axis where the costs differ by more than a factor of four. */
export function scatterChart(points: readonly ScatterPoint[], options: ScatterOptions): string {
  if (points.length === 0) return '';
  const { width = 560, height = 360 } = options;
  const xs = points.map(({ x }) => x);
  const low = Math.min(...xs);
  const high = Math.max(...xs);
  const x =
    high > 4 * low
      ? logScale(low / 1.2, high * 1.2, margin.left, width - margin.right)
      : linearScale(low * 0.95, high * 1.05, margin.left, width - margin.right);
  const y = linearScale(
    Math.min(...points.map((point) => point.low)),
    Math.max(...points.map((point) => point.high)),
    height - margin.bottom,
    margin.top,
  );
  const parts = [text(options.title, { x: margin.left, y: 18, class: 'chart-title' })];
  for (const tick of y.ticks) {
    const at = y.at(tick);
    parts.push(element('line', { x1: margin.left, x2: width - margin.right, y1: at, y2: at, class: 'grid' }));
    parts.push(text(formatCount(tick), { x: margin.left - 6, y: at + 4, class: 'tick end' }));
  }
  for (const tick of x.ticks) {
    parts.push(
      text(formatCount(tick), { x: x.at(tick), y: height - margin.bottom + 16, class: 'tick middle' }),
    );
  }
  const middle = (margin.left + width - margin.right) / 2;
  parts.push(text(options.xLabel, { x: middle, y: height - 8, class: 'label middle' }));
  parts.push(
    text(options.yLabel, { x: -(height / 2), y: 14, class: 'label middle', transform: 'rotate(-90)' }),
  );
  const corners = paretoFront(points).map(
    (point, index) => `${index === 0 ? 'M' : 'L'}${x.at(point.x).toFixed(1)} ${y.at(point.y).toFixed(1)}`,
  );
  parts.push(element('path', { d: corners.join(''), class: 'second-line' }, [hint('Pareto front')]));
  for (const point of points) parts.push(mark(point, x.at(point.x), (value) => y.at(value), width));
  const view = { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': options.title };
  return element('svg', view, parts);
}

/** The point, its interval and its name, on the side where there is room. */
function mark(point: ScatterPoint, x: number, at: (value: number) => number, width: number): string {
  const { name, color, low, high } = point;
  const left = x > width * 0.7;
  return [
    element('line', { x1: x, x2: x, y1: at(low), y2: at(high), class: `line color-${color}` }),
    element('circle', { cx: x, cy: at(point.y), r: 4, class: `fill-${color}` }, [hint(name)]),
    text(name, {
      x: left ? x - 7 : x + 7,
      y: at(point.y) - 5,
      class: left ? `end fill-${color}` : `fill-${color}`,
    }),
  ].join('');
}
