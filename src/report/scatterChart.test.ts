import { expect, it } from 'vitest';
import { paretoFront, scatterChart } from './scatterChart.ts';

const point = (name: string, x: number, y: number) => ({ name, color: 0, x, y, low: y - 0.1, high: y + 0.1 });

it('keeps what nothing cheaper beats', () => {
  const points = [
    point('a', 1, 3),
    point('b', 2, 3.5),
    point('c', 3, 2),
    point('d', 3, 2.5),
    point('e', 9, 2),
  ];
  expect(paretoFront(points).map(({ name }) => name)).toEqual(['a', 'c']);
});

it('draws every point inside the picture, with its name escaped', () => {
  const chart = scatterChart([point('a & b', 1, 2), point('c', 100, 1)], {
    title: 't',
    xLabel: 'FLOPs',
    yLabel: 'bits per byte',
  });
  expect(chart).toContain('a &amp; b');
  for (const [, cx, cy] of chart.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)) {
    expect(Number(cx)).toBeGreaterThan(0);
    expect(Number(cx)).toBeLessThan(560);
    expect(Number(cy)).toBeGreaterThan(0);
    expect(Number(cy)).toBeLessThan(360);
  }
});

it('draws nothing for nothing', () => {
  expect(scatterChart([], { title: 't', xLabel: 'x', yLabel: 'y' })).toBe('');
});
