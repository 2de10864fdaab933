import { describe, expect, it } from 'vitest';
import { parameterCount, parameterSpecs } from '../testing.ts';
import { mamba2 } from './mamba2.ts';

describe('mamba2', () => {
  it('has the published number of parameters', () => {
    // mamba2-130m: 24 layers of 3,765,320, their norm included.
    expect(parameterCount(mamba2, {}, 768) + 768).toBe(3_765_320);
  });

  it('takes the inner width from its heads where they are given', () => {
    const options = { heads: 8, headDim: 5, state: 3, groups: 2 };
    const shapes = new Map(parameterSpecs(mamba2, options, 12).map(({ name, shape }) => [name, shape]));
    expect(shapes.get('input.weight')).toEqual([40, 12]);
    expect(shapes.get('b.weight')).toEqual([6, 12]);
    expect(shapes.get('dt.weight')).toEqual([8, 12]);
    expect(shapes.get('output.weight')).toEqual([12, 40]);
  });

  it('decays projections only', () => {
    const decayed = parameterSpecs(mamba2, { headDim: 4 }, 8).filter(({ decay }) => decay);
    expect(decayed.map(({ name }) => name)).toEqual(
      ['gate', 'input', 'b', 'c', 'dt', 'output'].map((name) => `${name}.weight`),
    );
  });

  it('is normed before the output projection once', () => {
    const names = (norm: unknown): string[] =>
      parameterSpecs(mamba2, { headDim: 4, norm }, 8, { normalizeOutput: true }).map(({ name }) => name);
    expect(names('afterGate')).not.toContain('outputNorm.weight');
    expect(names('beforeGate')).toContain('outputNorm.weight');
    expect(names(false)).toContain('outputNorm.weight');
  });

  it('says which of its options do not fit', () => {
    expect(mamba2.check({ headDim: 3 }, 8)).toMatchObject([{ option: 'headDim' }]);
    expect(mamba2.check({ headDim: 4, groups: 3, normGroups: 1 }, 8)).toMatchObject([{ option: 'groups' }]);
    expect(mamba2.check({ headDim: 4, normGroups: 3 }, 8)).toMatchObject([{ option: 'normGroups' }]);
    expect(mamba2.check({ headDim: 4, dtLimit: [2, 1] }, 8)).toMatchObject([{ option: 'dtLimit' }]);
    expect(mamba2.check({ headDim: 4, decay: [0, 1] }, 8)).toMatchObject([{ option: 'decay' }]);
    expect(mamba2.check({ headDim: 4 }, 8)).toEqual([]);
  });
});
