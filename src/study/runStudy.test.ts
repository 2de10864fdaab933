import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseModelConfig } from '../models/index.ts';
import { inspectNative } from '../runtime/index.ts';
import { dataConfigSchema } from '../train/index.ts';
import type { Forecast } from './run.ts';
import { prepareStudy, runStudy } from './runStudy.ts';
import type { Study } from './studies/study.ts';
import { studyMarkdown, studyPage } from './studyReport.ts';

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-study-'));
  const line = 'pack my box with five dozen liquor jugs, and then pack it once more.\n'.repeat(4);
  writeFileSync(join(folder, 'text.txt'), Array.from({ length: 20 }, (_, i) => line.slice(i)).join('\f'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const rows = [8, 16].map((width) => ({
  name: `width ${width}`,
  model: parseModelConfig({ pattern: 'mlp', width, vocabulary: 257, mlp: { width: 16 } }),
}));

const study: Study = {
  name: 'widths',
  summary: 'two widths',
  question: 'Which width?',
  parts: () => [{ name: 'only', title: 'Equal seconds', rows, equal: 'seconds', share: 1, windows: 2 }],
  conclude: () => [{ title: 'Conclusion', body: ['<p>none</p>'] }],
};

function prepare(budget: number) {
  const data = dataConfigSchema.parse({ text: [join(folder, 'text.txt')], validateEvery: 5 });
  return prepareStudy(study, { size: 'nano', budget, data });
}

describe('prepareStudy', () => {
  it('takes seeds and learning rates from the budget', () => {
    expect(prepare(600).settings).toMatchObject({ seeds: [1, 2], rates: { kind: 'fixed' } });
    expect(prepare(3600).settings).toMatchObject({ seeds: [1, 2, 3], rates: { kind: 'grid' } });
    expect(prepare(8 * 3600).settings.seeds).toHaveLength(5);
  });

  it('refuses a size that the study does not have', () => {
    const given = { size: '135m', budget: 600, data: dataConfigSchema.parse({}) } as const;
    expect(() => prepareStudy(study, given)).toThrow(/'widths' has the sizes nano, 10m, not 135m/);
  });
});

describe.skipIf(!inspectNative().available)('runStudy', () => {
  it('spends its budget, and reports every part', async () => {
    const prepared = prepare(4);
    let forecast: Forecast | undefined;
    const result = await runStudy(prepared, folder, (_, run) =>
      run({
        warn: () => {},
        onForecast: (made) => {
          forecast = made;
        },
      }),
    );
    expect(forecast?.runs).toBe(4);
    expect(forecast?.seconds).toBeGreaterThan(1);
    expect(forecast?.seconds).toBeLessThan(4);
    const [{ comparison }] = result.parts;
    expect(comparison.rows.map(({ name }) => name).sort()).toEqual(['width 16', 'width 8']);
    // Windows of twice the training length see contexts past it.
    expect(comparison.rows[0].contexts.at(-1)?.to).toBeGreaterThan(256);
    expect(studyPage(study, result)).toContain('Conclusion');
    expect(studyMarkdown(result)).toContain('| width 16 ');
  }, 120_000);
});
