import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StepMetrics } from './metrics.ts';
import { MetricsFile } from './metrics.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-metrics-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function line(step: number): StepMetrics {
  const figures = { flops: 0, loss: 1, gradientNorm: 1, learningRate: 1, tokensPerSecond: 1, seconds: step };
  return { step, tokens: step * 10, ...figures };
}

describe('the metrics file', () => {
  it('forgets what lies past a step, and a line cut short, and goes on', () => {
    const metrics = new MetricsFile(join(folder, 'metrics.jsonl'));
    expect(metrics.read()).toEqual([]);
    metrics.rewind(0);
    for (const step of [1, 2, 3, 4]) metrics.append(line(step));
    const before = readFileSync(metrics.path, 'utf8');
    appendFileSync(metrics.path, '{"step":5,"los');
    expect(metrics.read().map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    metrics.rewind(2);
    expect(metrics.read()).toEqual([line(1), line(2)]);
    for (const step of [3, 4]) metrics.append(line(step));
    expect(readFileSync(metrics.path, 'utf8')).toBe(before);
    metrics.rewind(0);
    expect(readFileSync(metrics.path, 'utf8')).toBe('');
  });

  it('says where it cannot write', () => {
    expect(() => new MetricsFile(join(folder, 'no', 'x')).append(line(1))).toThrow(/Cannot write .*no such/);
  });
});
