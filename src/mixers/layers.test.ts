import { describe, expect, it } from 'vitest';
import type { Tensor } from '../graph/index.ts';
import { findLayer, layers } from './index.ts';
import { parameterCount as countOf, testContext } from './testing.ts';

function parameterCount(name: string, options: unknown, width: number): number {
  return countOf(findLayer(name), options, width);
}

describe('every layer', () => {
  it.each(layers.flatMap((layer) => layer.conformance.map((test) => ({ layer, ...test }))))(
    '$layer.name ($label) keeps the shape of its input and of its states',
    ({ layer, width, options, before = [] }) => {
      expect(layer.check(options, width)).toEqual([]);
      for (const documents of [false, true]) {
        const context = testContext({ width, documents });
        const { graph } = context;
        const x = graph.source('input', 'x', [2, 3, width]);
        before.forEach((earlier, index) => {
          graph.scope(`before${index}`, () => layer.forward(x, earlier, context));
        });
        const state: Record<string, Tensor> = {};
        for (const spec of layer.states(options, { batch: 2, width, capacity: 5, documents })) {
          state[spec.name] = graph.source('state', spec.name, spec.shape, spec.dtype);
        }
        const result = layer.forward(x, options, context, state);
        expect(result.output.shape).toEqual([2, 3, width]);
        expect(Object.keys(result.state ?? {}).sort()).toEqual(Object.keys(state).sort());
        for (const [name, before] of Object.entries(state)) {
          expect(result.state?.[name]).toMatchObject({ shape: before.shape, dtype: before.dtype });
        }
        expect(layer.forward(x, options, context).state).toBeUndefined();
      }
    },
  );

  it.each(layers)('$name fills its defaults and refuses unknown options', (layer) => {
    expect(layer.options.safeParse({}).success).toBe(true);
    expect(layer.options.safeParse({ colour: 'red' }).success).toBe(false);
  });
});

describe('attention', () => {
  it('has the published number of parameters', () => {
    // 2.5 · D² with a quarter as many key-value heads.
    expect(parameterCount('attention', { heads: 32, kvHeads: 8 }, 768)).toBe(2.5 * 768 ** 2);
  });

  it('says which of its options do not fit', () => {
    const { check } = findLayer('attention');
    expect(check({ heads: 5 }, 8)).toMatchObject([{ option: 'heads' }]);
    expect(check({ heads: 5, headDim: 4 }, 8)).toEqual([]);
    expect(check({ heads: 4, kvHeads: 3 }, 8)).toMatchObject([{ option: 'kvHeads' }]);
    expect(check({ heads: 8, rope: { theta: 10 } }, 8)).toMatchObject([{ option: 'rope' }]);
    expect(check({ heads: 8 }, 8)).toEqual([]);
  });
});

describe('mamba1', () => {
  it('has the published number of parameters', () => {
    // mamba-130m: 24 layers of 3,771,648, their norm included.
    expect(parameterCount('mamba1', {}, 768) + 768).toBe(3_771_648);
  });

  it('says when the inner width is not whole', () => {
    expect(findLayer('mamba1').check({ expand: 1.5 }, 7)).toMatchObject([{ option: 'expand' }]);
    expect(findLayer('mamba1').check({ expand: 1.5 }, 8)).toEqual([]);
  });
});

describe('mlp', () => {
  it('takes 8/3 of the width unless told otherwise', () => {
    expect(parameterCount('mlp', {}, 128)).toBe(3 * 128 * 352);
    expect(parameterCount('mlp', { width: 100 }, 128)).toBe(3 * 128 * 100);
    expect(parameterCount('mlp', { kind: 'geglu' }, 128)).toBe(3 * 128 * 352);
  });

  it('has two matrices of four times the width without a gate', () => {
    expect(parameterCount('mlp', { kind: 'relu2' }, 128)).toBe(2 * 128 * 512);
    expect(parameterCount('mlp', { kind: 'relu2', bias: true }, 128)).toBe(2 * 128 * 512 + 512 + 128);
  });
});

describe('what a layer means', () => {
  const meaning = (name: string, options: object): unknown => findLayer(name).meaning(options, 32);

  it.each<[string, object, object]>([
    [
      'attention',
      { heads: 4 },
      { heads: 4, kvHeads: 4, headDim: 8, scales: { input: 1, key: 1, output: 1 } },
    ],
    ['mamba1', {}, { dtRank: 2, chunk: 7 }],
    ['mamba2', { headDim: 8 }, { headDim: 8, heads: 8, expand: 3, decay: [1, 2], normGroups: 1 }],
    ['hyena-se', {}, { width: 32, algorithm: 'blocked', block: 3 }],
    ['hyena-mr', {}, { width: 32, algorithm: 'blocked' }],
    ['hyena-li', {}, { width: 32, chunk: 8 }],
    ['rg-lru', {}, { width: 32 }],
    ['mlp', {}, { width: 96 }],
    ['moe', { router: 'sigmoid' }, { router: 'sigmoid', width: 96, balance: 1e-3 }],
    ['memory-mamba2', { mlp: {} }, { mlp: { width: 96 }, mamba2: { chunk: 2 } }],
  ])('%s: what is left to the width or to the machine does not count', (name, options, same) => {
    expect(meaning(name, same)).toEqual(meaning(name, options));
  });

  it('tells layers apart that are not the same', () => {
    expect(meaning('mamba1', { norms: true })).not.toEqual(meaning('mamba1', {}));
    expect(meaning('attention', { scales: { key: 2 } })).not.toEqual(meaning('attention', {}));
    expect(meaning('mlp', { kind: 'geglu' })).not.toEqual(meaning('mlp', {}));
  });
});
