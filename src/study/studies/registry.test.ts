import { describe, expect, it } from 'vitest';
import { planModel } from '../../models/plan.ts';
import { findStudy, studies } from './registry.ts';
import { narrower } from './routing.ts';
import { fromPreset, smallSizes, studySizes } from './study.ts';

describe.each(studies)('$name', (study) => {
  it.each(study.sizes ?? smallSizes)(
    'has different models with different names at %s, and its whole budget shared out',
    (size) => {
      const parts = study.parts(size);
      expect(parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
      for (const { rows } of parts) {
        expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
        const models = rows.map(({ model }) => JSON.stringify({ ...model, name: '' }));
        expect(new Set(models).size).toBe(rows.length);
        for (const { model } of rows)
          expect(planModel(model, { length: 32 }).parameters.total).toBeGreaterThan(0);
      }
    },
  );
});

it('narrows FlowHN without split to the FLOPs of a split one', () => {
  for (const size of smallSizes) {
    const length = size === 'nano' ? 256 : 512;
    const flops = (model: Parameters<typeof planModel>[0]) =>
      planModel(model, { length }).flopsPerToken.training;
    const ratio = flops(narrower(size)) / flops(fromPreset('flowhn-fac', size));
    expect(Math.abs(ratio - 1)).toBeLessThan(0.06);
  }
});

it('has the published sizes of the table alone', () => {
  expect(studies.filter(({ sizes }) => sizes).map(({ name }) => name)).toEqual(['flowhn-table']);
  expect(findStudy('flowhn-table').sizes).toEqual(studySizes);
});

it('names the nearest study for a slip', () => {
  expect(() => findStudy('routin')).toThrow(/Did you mean 'routing'/);
});
