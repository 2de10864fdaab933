import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import type { FilterOptions } from './filterConvolution.ts';
import { filterConvolution } from './filterConvolution.ts';
import { toeplitzFactor } from './filterConvolutionBlocked.ts';
import { factorCount } from './filterConvolutionOperands.ts';
import type { SequenceOperation } from './sequenceLaws.ts';
import { buildCase, caseValues, holdSequenceLaws, runCase } from './sequenceLaws.ts';
import { relativeError } from './sequenceTesting.ts';

interface Sizes {
  channels: number;
  groups: number;
  taps: number;
}

function operation({ channels, groups, taps }: Sizes, options: FilterOptions): SequenceOperation {
  return {
    perPosition: { u: [channels] },
    shared: { taps: [groups, taps] },
    state: [taps - 1, channels],
    reachesState: (name) => name !== 'taps',
    build(operands) {
      const { u, taps: filter, documents, state, document } = operands;
      const results = filterConvolution({ u, taps: filter, documents, window: state, document }, options);
      return { ...results, output: results.z, state: results.window };
    },
  };
}

type Given = Readonly<Record<string, ArrayLike<number>>>;

/** The sum over lags for one row, from the definition. The window belongs to document 0. */
function literal(given: Given, { channels, groups, taps }: Sizes, length: number): number[] {
  return Array.from({ length: length * channels }, (_, at) => {
    const [t, channel] = [Math.floor(at / channels), at % channels];
    const group = Math.floor((channel * groups) / channels);
    let sum = 0;
    for (let lag = 0; lag < taps; lag++) {
      const s = t - lag;
      if ((s < 0 ? 0 : given.documents[s]) !== given.documents[t]) continue;
      const input =
        s < 0 ? given.state[(taps - 1 + s) * channels + channel] : given.u[s * channels + channel];
      sum += given.taps[group * taps + lag] * input;
    }
    return sum;
  });
}

const sizes: Sizes = { channels: 4, groups: 2, taps: 5 };

describe('filterConvolution', () => {
  describe('direct', () => holdSequenceLaws(operation(sizes, {}), [1, 4, 9]));
  describe('blocked, two factors', () =>
    holdSequenceLaws(operation(sizes, { algorithm: 'blocked', block: 4 }), [3, 4, 5, 9]));
  describe('blocked, three factors', () =>
    holdSequenceLaws(operation(sizes, { algorithm: 'blocked', block: 3 }), [9]));

  it('is the sum over lags, the first tap at lag 0', () => {
    const one = operation({ channels: 1, groups: 1, taps: 3 }, {});
    const given = { u: [1, 2, 3], taps: [1, 10, 100], state: [8, 9] };
    const found = runCase(one, { batch: 1, length: 3, documents: false }, given);
    expect([...found.output]).toEqual([891, 912, 123]);
    expect([...found.state]).toEqual([2, 3]);
    const fresh = runCase(one, { batch: 1, length: 3, documents: false, state: false }, given);
    expect([...fresh.output]).toEqual([1, 12, 123]);
  });

  it('shifts the window when a piece is shorter than it, and clears what is of another document', () => {
    const one = operation({ channels: 1, groups: 1, taps: 4 }, {});
    const given = { u: [9], taps: [0, 0, 0, 0], state: [1, 2, 3], document: [5] };
    const window = (documents: number[]): number[] => [
      ...runCase(one, { batch: 1, length: 1 }, { ...given, documents }).state,
    ];
    expect(window([5])).toEqual([2, 3, 9]);
    expect(window([6])).toEqual([0, 0, 9]);
  });

  it('makes the factors of the paper', () => {
    const taps = Float64Array.of(1, 2, 3, 4);
    expect([...toeplitzFactor(taps, 3, 0)]).toEqual([1, 0, 0, 2, 1, 0, 3, 2, 1]);
    expect([...toeplitzFactor(taps, 3, 1)]).toEqual([4, 3, 2, 0, 4, 3, 0, 0, 4]);
    expect([...toeplitzFactor(taps, 3, 2)]).toEqual(new Array(9).fill(0));
  });

  it('needs two factors up to block + 1 taps', () => {
    expect([2, 4, 5].map((taps) => factorCount(taps, 4))).toEqual([2, 2, 2]);
    expect([6, 9, 10].map((taps) => factorCount(taps, 4))).toEqual([3, 3, 4]);
  });

  const cases = [1, 2, 3, 4, 8].flatMap((block) =>
    [2, block, block + 1, block + 2, 2 * block + 1, 2 * block + 2]
      .filter((taps) => taps > 1)
      .map((taps) => ({ block, taps })),
  );
  it.each(cases)('equals the literal sum by both algorithms: %o', ({ block, taps }) => {
    for (const length of [1, block, block + 1, 2 * block + 3]) {
      const own = { channels: 6, groups: 3, taps };
      const given = caseValues(operation(own, {}), { batch: 1, length });
      const expected = literal(given, own, length);
      for (const algorithm of ['direct', 'blocked'] as const) {
        const { output } = runCase(operation(own, { algorithm, block }), { batch: 1, length }, given);
        expect(relativeError(output, expected), `${algorithm}, ${length} positions`).toBeLessThan(1e-14);
      }
    }
  });

  it('counts 2 K operations per number, and executed ones by the algorithm', () => {
    const cost = (options: FilterOptions) => {
      const node = buildCase(operation(sizes, options), {}).output.producer?.node;
      return node?.operation.cost(node.inputs, node.outputs, node.attributes);
    };
    const numbers = 2 * 9 * 4;
    expect(cost({})).toMatchObject({ model: 2 * 5 * numbers, executed: 2 * 5 * numbers });
    expect(cost({ algorithm: 'blocked', block: 4 })).toMatchObject({
      model: 2 * 5 * numbers,
      executed: 2 * 2 * 4 * numbers,
    });
  });

  it('refuses operands that do not fit', () => {
    const graph = new Graph();
    const u = graph.source('input', 'u', [1, 5, 6]);
    const filter = (groups: number, taps: number) =>
      graph.source('parameter', `taps${groups}x${taps}`, [groups, taps]);
    const apply = (taps: ReturnType<typeof filter>, options: FilterOptions = {}) => {
      return () => filterConvolution({ u, taps }, options);
    };
    expect(apply(filter(3, 4))().window.shape).toEqual([1, 3, 6]);
    expect(apply(filter(4, 3))).toThrow('filterConvolution: 6 channels cannot share 4 filters evenly');
    expect(apply(filter(3, 1))).toThrow('the filter has one tap');
    expect(apply(filter(3, 4), { algorithm: 'blocked', block: 0 })).toThrow('block is 0');
    expect(apply(filter(3, 4), { algorithm: 'fft' as 'direct' })).toThrow(`'direct' or 'blocked', not 'fft'`);
    const documents = graph.source('input', 'documents', [1, 5], 'int32');
    const window = graph.source('state', 'window', [1, 3, 6]);
    expect(() => filterConvolution({ u, taps: filter(3, 4), documents, window })).toThrow(
      `without 'document'`,
    );
  });
});
