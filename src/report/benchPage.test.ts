import { describe, expect, it } from 'vitest';
import { measurement, report } from '../bench/testing.ts';
import { benchPage } from './benchPage.ts';
import { measurementGroups, measurementNote, measurementTable, profileRows } from './benchTable.ts';
import { laneRows, laneVerdict } from './laneTable.ts';
import { rooflineChart } from './rooflineChart.ts';

const moment = { flopsPerSecond: 80 };
const several = report([
  measurement({ probes: [{ samples: 3, before: moment, after: moment }] }),
  measurement({ subject: { model: 'm', length: 16 } }),
  measurement({
    subject: { product: '1×2×3', system: '<other>' },
    work: { executedFlops: 6, executedBytes: 3 },
  }),
]);

describe('the table of a benchmark', () => {
  it('has a table for each kind of subject, and no column without a figure', () => {
    const [models, products] = measurementGroups(several.measurements);
    const table = measurementTable(several, models);
    const mfu = table.columns.findIndex(({ title }) => title === 'MFU');
    expect(table.rows.map((row) => row[mfu])).toEqual(['62.5 % (62.5 – 62.5)', '']);
    expect(table.rows[0][mfu + 1]).toBe('50.0 %');
    expect(table.rows.map((row) => row.slice(0, 2))).toEqual([
      ['m', '8'],
      ['m', '16'],
    ]);
    const titles = measurementTable(several, products).columns.map(({ title }) => title);
    expect(titles).not.toContain('MFU');
    expect(titles).not.toContain('tokens/s');
    expect(measurementNote(several)).not.toContain('probes');
    const probes = ['a product'];
    expect(measurementNote({ ...several, machine: { ...several.machine, probes } })).toContain(
      'probes: a product',
    );
  });

  it('adds up the rows of a profile that it does not show', () => {
    const row = {
      name: 'a',
      calls: 2,
      seconds: 1,
      share: 0.25,
      flopsPerSecond: 0,
      bytesPerSecond: 1,
      overRoofline: null,
    };
    const rows = profileRows([row, { ...row, name: 'b' }, { ...row, name: 'c' }], 1);
    expect(rows.map(([name]) => name)).toEqual(['a', '2 more']);
    expect(rows[1].slice(1, 4)).toEqual(['4', '2.000 s', '50.0 %']);
  });
});

describe('the page of a benchmark', () => {
  const html = benchPage(several);

  it('draws speed, cost by length and the roofline', () => {
    for (const title of ['Speed', 'Cost by length', 'Roofline']) expect(html).toContain(`>${title}<`);
    expect(html).not.toContain('Cost by threads');
    expect(html).not.toContain('NaN');
  });

  it('escapes names', () => {
    expect(html).toContain('&lt;other&gt;');
    expect(html).not.toContain('<other>');
  });
});

describe('the table of lanes', () => {
  const group = {
    group: 'b',
    seconds: 4,
    busy: [3, 3.5],
    work: [2, 4.5],
    threads: [1, 1],
    balance: 13 / 14,
    evenness: 13 / 18,
    withoutLanes: 5,
  };
  const found = { subject: { model: 'm' }, groups: [group], speedup: 1.25 };

  it('gives busy and idle time of each lane, and the block once', () => {
    expect(laneRows(found)).toEqual([
      ['b', '0', '1', '2.000 s', '3.000 s', '1.000 s', '4.000 s', '5.000 s', '0.722', '0.929'],
      ['', '1', '1', '4.500 s', '3.500 s', '500.0 ms', '', '', '', ''],
    ]);
    expect(laneVerdict(found)).toMatch(/1\.250 ×/);
    expect(laneVerdict({ ...found, groups: [] })).toMatch(/No block has branches/);
  });

  it('stands in the page', () => {
    expect(benchPage({ ...several, kind: 'lanes', lanes: [found] })).toContain('m: blocks');
  });
});

describe('the roofline chart', () => {
  const options = { title: 't', bandwidth: 10, roofs: [{ name: 'peak', flopsPerSecond: 1000 }] };
  const at = (svg: string) => {
    const [, x, y] = /<circle cx="([\d.]+)" cy="([\d.]+)"/.exec(svg) ?? [];
    return { x: Number(x), y: Number(y) };
  };

  it('puts a point that reaches the peak on the roof', () => {
    const svg = rooflineChart([{ name: 'p', color: 0, flopsPerByte: 100, flopsPerSecond: 1000 }], options);
    const [, roof] = /L[\d.]+ ([\d.]+)L/.exec(svg) ?? [];
    expect(at(svg).y).toBeCloseTo(Number(roof), 0);
  });

  it('leaves out what has no FLOPs', () => {
    expect(rooflineChart([{ name: 'p', color: 0, flopsPerByte: 0, flopsPerSecond: 0 }], options)).toBe('');
  });
});
