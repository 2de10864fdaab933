/** Every measuring command once, at sizes that take no time. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import type { BenchReport } from '../../bench/measurement.ts';
import { sum } from '../../bench/statistics.ts';
import { inspectNative } from '../../runtime/index.ts';
import { command } from '../bench.ts';

const folder = mkdtempSync(join(tmpdir(), 'braid-bench-'));
const file = (name: string) => join(folder, name);

afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());

/** What the command prints on standard output. */
async function bench(...args: string[]): Promise<string> {
  let printed = '';
  const write = (text: unknown): boolean => {
    printed += String(text);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(write);
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  await command().exitOverride().parseAsync(args, { from: 'user' });
  vi.restoreAllMocks();
  return printed;
}

const small = ['--quick', '--rounds', '2', '--set', 'train.batch=1', 'train.length=32', 'train.threads=2'];

async function measure(...args: string[]): Promise<BenchReport> {
  return JSON.parse(await bench(...args, '--json', ...small)) as BenchReport;
}

function expectFigures({ measurements, machine }: BenchReport, count: number): void {
  expect(measurements).toHaveLength(count);
  expect(machine.probes?.length).toBeGreaterThan(0);
  for (const { seconds, work, probes = [], figures } of measurements) {
    expect(sum(probes.map(({ samples }) => samples))).toBe(seconds.length);
    expect((figures?.hardwareUtilisation ?? figures?.bandwidthShare)?.median).toBeGreaterThan(0);
    expect(seconds.every((value) => value > 0)).toBe(true);
    expect(work.executedBytes).toBeGreaterThan(0);
  }
  expect(machine.peaks.bfloat16.flopsPerSecond).toBeGreaterThan(0);
  expect(machine.bandwidth.read).toBeGreaterThan(0);
}

describe.skipIf(!inspectNative().available)('braid bench', () => {
  it('trains, profiles, writes a page and a trace, and compares with itself', async () => {
    const files = ['--out', file('a.json'), '--html', file('a.html'), '--trace', file('t.json')];
    const text = await bench(
      'train',
      'llama-nano',
      'mamba1-nano',
      '--steps',
      '2',
      '--profile',
      ...files,
      ...small,
    );
    expect(text).toMatch(/MFU[\s\S]*llama-nano[\s\S]*By layer[\s\S]*blocks\.0/);
    expect(readFileSync(file('a.html'), 'utf8')).toContain('Roofline');
    expect(readFileSync(file('t-1.json'), 'utf8')).toContain('selectiveScan');
    const same = await bench('compare', file('a.json'), file('a.json'));
    expect(same.match(/1\.000 × {2}noise/g)).toHaveLength(4);
  });

  it("takes 'bench MODEL' for 'bench train MODEL'", async () => {
    const report = await measure('llama-nano', '--steps', '1');
    expect(report.kind).toBe('train');
    expectFigures(report, 1);
  });

  it('generates at batches and positions', async () => {
    const report = await measure(
      'generate',
      'flowhn-chunks-nano',
      '--batch',
      '1,2',
      '--positions',
      '5,40',
      '--prompt',
      '8',
      '--steps',
      '2',
    );
    expectFigures(report, 6);
    const [first] = report.measurements;
    expect(first.work.neededBytes).toBeGreaterThan(1e5);
  });

  it('measures layers and products', async () => {
    const layers = await measure(
      'operators',
      'attention',
      'mamba2',
      '--width',
      '32',
      '--lengths',
      '16',
      '--tokens',
      '32',
      '--samples',
      '2',
    );
    expectFigures(layers, 8);
    const products = await measure('operators', '--products', 'llama-nano', '--samples', '2');
    expect(products.measurements.every(({ subject }) => subject.system === 'braid')).toBe(true);
  });

  it('shows what lanes do in each block', async () => {
    const text = await bench('lanes', 'flowhn-none-nano', '--steps', '2', ...small);
    expect(text).toMatch(/blocks\.0[\s\S]*blocks\.1\.backward[\s\S]*Steps with lanes are [\d.]+ ×/);
    const decoding = ['lanes', 'flowhn-none-nano', '--positions', '9', '--steps', '3'];
    const token = await bench(...decoding, ...small);
    expect(token).toMatch(/token[\s\S]*blocks\.0[\s\S]*blocks\.1[\s\S]*Steps with lanes are [\d.]+ ×/);
    expect(token).not.toMatch(/backward/);
  });

  it('scales along lengths and threads', async () => {
    const report = await measure(
      'scaling',
      'llama-nano',
      '--lengths',
      '16,32',
      '--threads',
      '1',
      '--steps',
      '2',
    );
    expectFigures(report, 3);
  });

  it('says what is wrong with its arguments', async () => {
    await expect(bench('scaling', 'llama-nano')).rejects.toThrow(/Say along what/);
    await expect(bench('train', 'llama-nano', '--trace', 'x')).rejects.toThrow(/--profile/);
    await expect(bench('compare', file('missing.json'), file('a.json'))).rejects.toThrow(
      /cannot be read: ENOENT/,
    );
    await expect(bench('operators', 'attention+mlp')).rejects.toThrow(/Name single layers/);
  });
});
