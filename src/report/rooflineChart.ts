/** The roofline: how fast things ran, by how many FLOPs they do per byte, under what the machine was measured to do. */
import { formatCount } from './format.ts';
import { element, hint, logScale, text } from './svg.ts';

export interface RooflinePoint {
  readonly name: string;
  readonly color: number;
  readonly flopsPerByte: number;
  readonly flopsPerSecond: number;
}

export interface Roof {
  readonly name: string;
  /** FLOP/s of the flat part. */
  readonly flopsPerSecond: number;
}

export interface RooflineOptions {
  readonly title: string;
  /** Bytes per second: the slope that all roofs share. */
  readonly bandwidth: number;
  readonly roofs: readonly Roof[];
  readonly width?: number;
  readonly height?: number;
}

const margin = { left: 64, right: 24, top: 34, bottom: 44 };

/** An SVG with logarithmic axes; points without FLOPs have no place in it and are left out. */
export function rooflineChart(points: readonly RooflinePoint[], options: RooflineOptions): string {
  const placed = points.filter(({ flopsPerByte, flopsPerSecond }) => flopsPerByte > 0 && flopsPerSecond > 0);
  if (placed.length === 0) return '';
  const { bandwidth, roofs, width = 560, height = 360 } = options;
  const knees = roofs.map(({ flopsPerSecond }) => flopsPerSecond / bandwidth);
  const intensities = [...placed.map(({ flopsPerByte }) => flopsPerByte), ...knees];
  const speeds = [
    ...placed.map(({ flopsPerSecond }) => flopsPerSecond),
    ...roofs.map((roof) => roof.flopsPerSecond),
  ];
  const left = Math.min(...intensities) / 3;
  const right = Math.max(...intensities) * 3;
  const x = logScale(left, right, margin.left, width - margin.right);
  const y = logScale(Math.min(...speeds) / 3, Math.max(...speeds) * 2, height - margin.bottom, margin.top);
  const floor = Math.min(...speeds) / 3;

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
  roofs.forEach(({ name, flopsPerSecond }, index) => {
    const start = Math.max(left, floor / bandwidth);
    const corners = [
      [start, bandwidth * start],
      [knees[index], flopsPerSecond],
      [right, flopsPerSecond],
    ];
    const path = corners.map(
      ([i, speed], at) => `${at === 0 ? 'M' : 'L'}${x.at(i).toFixed(1)} ${y.at(speed).toFixed(1)}`,
    );
    parts.push(element('path', { d: path.join(''), class: 'second-line', fill: 'none' }, [hint(name)]));
    parts.push(text(name, { x: width - margin.right, y: y.at(flopsPerSecond) - 5, class: 'tick end' }));
  });
  for (const point of placed) {
    const spot = {
      cx: x.at(point.flopsPerByte),
      cy: y.at(point.flopsPerSecond),
      r: 4,
      class: `fill-${point.color}`,
    };
    const told = `${point.name}: ${formatCount(point.flopsPerSecond)}FLOP/s at ${formatCount(point.flopsPerByte)} FLOPs per byte`;
    parts.push(element('circle', spot, [hint(told)]));
  }
  const middle = margin.top + (height - margin.bottom - margin.top) / 2;
  parts.push(
    text('FLOPs per byte', {
      x: (margin.left + width - margin.right) / 2,
      y: height - 8,
      class: 'label middle',
    }),
    text('FLOP/s', { x: -middle, y: 14, class: 'label middle', transform: 'rotate(-90)' }),
  );
  return element(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': options.title },
    parts,
  );
}
