import { describe, expect, it } from 'vitest';
import { barChart } from './barChart.ts';
import { chartStyle, colors, paletteSize, standaloneChart } from './chartStyle.ts';
import { lineChart } from './lineChart.ts';

const bars = barChart(
  Array.from({ length: paletteSize }, (_, color) => ({
    name: `model ${color}`,
    color,
    value: 1 + color,
    line: 0.1,
  })),
  { title: 'Speed', valueLabel: 'tokens', lineLabel: 'MFU', formatLine: String },
);
const lines = lineChart(
  [
    {
      name: 'model',
      color: 0,
      points: [
        [0, 1],
        [1, 2],
      ],
    },
  ],
  { title: 'Loss', xLabel: 'x', yLabel: 'y' },
);

describe('the style of charts', () => {
  it('has a rule for every class that a chart uses', () => {
    const used = [...`${bars}${lines}`.matchAll(/class="([^"]+)"/g)].flatMap(([, names = '']) =>
      names.split(' '),
    );
    expect(used.length).toBeGreaterThan(10);
    for (const name of used) expect(chartStyle).toMatch(new RegExp(`svg \\.${name}\\b`));
  });

  it('knows every colour that it names', () => {
    for (const [, name = ''] of chartStyle.matchAll(/var\((--\w+)\)/g)) expect(colors).toContain(`${name}:`);
  });

  it('makes a chart a file of its own', () => {
    const file = standaloneChart(bars);
    expect(file).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 \d+ \d+"[^>]*><style>/);
    expect(file.match(/<svg /g)).toHaveLength(1);
    expect(file.trimEnd()).toMatch(/<\/svg>$/);
    expect(file).toContain('model 9');
  });
});
