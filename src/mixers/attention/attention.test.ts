import { describe, expect, it } from 'vitest';
import { elementCount } from '../../graph/index.ts';
import { Handover } from '../../nn/index.ts';
import { evaluate, numbers } from '../../ops/sequenceTesting.ts';
import { parameterCount, parameterSpecs, runLayer, testContext } from '../testing.ts';
import { attention } from './attention.ts';

const shape = { batch: 1, width: 8, capacity: 5, documents: false };

describe('attention', () => {
  it('has the sizes of half a layer beside a state space with values of full width', () => {
    // Bae et al. 2025 at 1B, as recomputed from their widths: Q 1152, K 4 · 72, V 4 · 128, output 2048 · 2048.
    const options = { heads: 16, kvHeads: 4, headDim: 72, valueDim: 128 };
    expect(parameterCount(attention, options, 2048)).toBe(2048 * (1152 + 288 + 512 + 2048));
  });

  it('has biases where asked for', () => {
    const biases = (options: object): string[] =>
      parameterSpecs(attention, { heads: 2, ...options }, 8)
        .map(({ name }) => name)
        .filter((name) => name.endsWith('.bias'));
    expect(biases({})).toEqual([]);
    expect(biases({ bias: true }).sort()).toEqual(['key.bias', 'output.bias', 'query.bias', 'value.bias']);
    expect(biases({ outputBias: true })).toEqual(['output.bias']);
    expect(biases({ bias: true, outputBias: false })).not.toContain('output.bias');
  });

  it('multiplies keys, inputs and outputs by constant factors', () => {
    const sizes = { width: 4, length: 5 };
    const scaled = runLayer(attention, { heads: 2, scales: { input: 0.5, key: 3, output: 2 } }, sizes);
    const times = (name: string, factor: number): number[] =>
      Array.from(scaled.parameter(name), (value) => factor * value);
    const plain = runLayer(attention, { heads: 2 }, sizes, {
      'query.weight': times('query.weight', 0.5),
      'key.weight': times('key.weight', 1.5),
      'value.weight': times('value.weight', 0.5),
      'output.weight': times('output.weight', 2),
    });
    for (let i = 0; i < 20; i++) expect(scaled.y[i]).toBeCloseTo(plain.y[i], 13);
  });
});

describe('a window', () => {
  const near = { heads: 32, kvHeads: 8, window: 512, sinks: 64 };
  const numbersOf = (options: object, capacity: number): number =>
    attention
      .states(options, { batch: 1, width: 2048, capacity, documents: false })
      .filter(({ dtype }) => dtype === 'float32')
      .reduce((sum, { shape: of }) => sum + elementCount(of), 0);

  it.each([
    [8192, 63],
    [32768, 207],
  ])(
    'bounds the cache: at %d tokens three global layers and thirteen near ones take %d MiB',
    (length, mebibytes) => {
      // Bae et al. 2025, SWA 1:5 at 1B, in BF16: 16 layers of 8 heads of 64, window 512 with 64 sinks.
      const numbersInAll = 3 * numbersOf({ heads: 32, kvHeads: 8 }, length) + 13 * numbersOf(near, length);
      expect(Math.round((2 * numbersInAll) / 2 ** 20)).toBe(mebibytes);
    },
  );

  it('takes no more than the tokens that there are', () => {
    expect(numbersOf(near, 100)).toBe(2 * 100 * 512);
    expect(numbersOf(near, 576)).toBe(numbersOf(near, 5760));
  });
});

describe('attention that takes the keys of an earlier layer', () => {
  it('has no keys, no values and no state', () => {
    const context = testContext({ width: 8 });
    const x = context.graph.source('input', 'x', [2, 3, 8]);
    const { graph } = context;
    graph.scope('first', () => attention.forward(x, { heads: 4, kvHeads: 2, offersKeys: 'kv' }, context));
    const taker = { heads: 4, kvHeads: 2, keysFrom: 'kv' };
    graph.scope('second', () => attention.forward(x, taker, context));
    const names = context.parameters.specs
      .map(({ name }) => name)
      .filter((name) => name.startsWith('second'));
    expect(names).toEqual(['second.query.weight', 'second.output.weight']);
    expect(attention.states(taker, shape)).toEqual([]);
    expect(attention.states({ heads: 4 }, shape)).toHaveLength(3);
  });

  it('equals a layer with the same projections of keys and values, where both see the same input', () => {
    const context = testContext({ width: 4, batch: 1, length: 6 });
    const { graph } = context;
    const x = graph.source('input', 'x', [1, 6, 4]);
    const at = (path: string, options: object) =>
      graph.scope(path, () => attention.forward(x, { heads: 2, ...options }, context).output);
    at('first', { offersKeys: 'kv' });
    const taken = at('taker', { keysFrom: 'kv', window: 2 });
    const own = at('own', { window: 2 });
    const given: Record<string, ArrayLike<number>> = { x: numbers(24, 1), positions: new Int32Array(6) };
    context.parameters.specs.forEach(({ name, shape: of }, index) => {
      given[name] = numbers(elementCount(of), index + 2);
    });
    for (const name of ['key.weight', 'value.weight']) given[`own.${name}`] = given[`first.${name}`];
    for (const name of ['query.weight', 'output.weight']) given[`own.${name}`] = given[`taker.${name}`];
    const [a, b] = evaluate(graph, given, [taken, own]);
    expect(a).toEqual(b);
  });

  it('says what is wrong: nothing offered, other sizes, another branch of the block', () => {
    const context = testContext({ width: 8 });
    const { graph } = context;
    const x = graph.source('input', 'x', [2, 3, 8]);
    const forward = (options: object) => attention.forward(x, { heads: 4, ...options }, context);
    expect(() => graph.scope('a', () => forward({ keysFrom: 'kv' }))).toThrow(
      /a takes 'kv', which no earlier layer .* offers; offered: nothing/,
    );
    const lane = (index: number, options: object) =>
      graph.lane({ group: 'block', index }, () => graph.scope(`branch${index}`, () => forward(options)));
    lane(0, { offersKeys: 'kv' });
    expect(() => lane(1, { keysFrom: 'kv' })).toThrow(/another branch of the same block/);
    expect(() => graph.scope('b', () => forward({ keysFrom: 'kv', kvHeads: 2 }))).toThrow(
      /keys and values of 2 heads of 2 and 2 features from 'kv', which are/,
    );
    graph.scope('near', () => forward({ offersKeys: 'near', window: 4 }));
    expect(() => graph.scope('far', () => forward({ keysFrom: 'near', window: 8 }))).toThrow(
      /far takes keys from 'near', .* its window of 4 and 0 sinks; it has itself the window 8 and 0 sinks/,
    );
    expect(() => graph.scope('all', () => forward({ keysFrom: 'near' }))).toThrow(/the window \(none\)/);
    expect(() =>
      graph.scope('c', () =>
        attention.forward(x, { heads: 4, keysFrom: 'kv' }, { ...context, handover: new Handover() }),
      ),
    ).toThrow(/offered: nothing/);
  });
});

describe('options of attention', () => {
  it.each([
    [{ heads: 2, rope: { theta: 10, share: 0.25 } }, 'rope'],
    [
      {
        heads: 2,
        rope: { scaling: { kind: 'llama3', factor: 2, lowFactor: 4, highFactor: 4, originalLength: 9 } },
      },
      'rope',
    ],
    [{ heads: 2, keysFrom: 'a', offersKeys: 'b' }, 'offersKeys'],
  ])('%o: %s does not fit', (options, option) => {
    expect(attention.check(options, 8)).toMatchObject([{ option }]);
  });
});
