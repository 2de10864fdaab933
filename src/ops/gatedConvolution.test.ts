import { describe, expect, it } from 'vitest';
import { Graph, type Tensor } from '../graph/index.ts';
import { multiplyChannels } from './channels.ts';
import { causalConvolution } from './convolution.ts';
import { add, multiply } from './elementwise.ts';
import { filterConvolution } from './filterConvolution.ts';
import type { GatedConvolutionInputs } from './gatedConvolution.ts';
import { gatedConvolution } from './gatedConvolution.ts';
import { relativeError } from './sequenceTesting.ts';
import { checkGradient, floats, integers, run } from './testing.ts';

const documents = integers([2, 6], [0, 0, 2, 2, 2, 2, 0, 1, 1, 1, 4, 4]);

function inputsOf(shortTaps: number, taps: number) {
  const streams = [1, 2, 3].map((seed) => floats([2, 6, 4], { seed }));
  const filters = [4, 5, 6].map((seed) => floats([4, shortTaps], { seed }));
  return [...streams, ...filters, floats([2, taps], { seed: 7 }), floats([4], { seed: 8 })];
}

function named(sources: readonly Tensor[]): GatedConvolutionInputs {
  const [q, k, v, qFilter, kFilter, vFilter, taps, skip, ids] = sources;
  return { q, k, v, qFilter, kFilter, vFilter, taps, skip, documents: ids };
}

/** The same by one operation after the other. */
function oneByOne(given: GatedConvolutionInputs): Tensor {
  const filtered = (x: Tensor, weight: Tensor) =>
    causalConvolution({ x, weight, documents: given.documents }).y;
  const [q, k, v] = [
    filtered(given.q, given.qFilter),
    filtered(given.k, given.kFilter),
    filtered(given.v, given.vFilter),
  ];
  const u = multiply(k, v);
  const { z } = filterConvolution({ u, taps: given.taps, documents: given.documents });
  return multiply(q, given.skip ? add(z, multiplyChannels(u, given.skip)) : z);
}

describe('gatedConvolution', () => {
  it.each([
    [2, 2],
    [3, 7],
    [5, 3],
  ])('equals the operations it stands for: short filters of %d taps, %d taps', (shortTaps, taps) => {
    const all = [...inputsOf(shortTaps, taps), documents];
    for (const inputs of [all, all.slice(0, 8), all.slice(0, 7)]) {
      const build = (apply: (given: GatedConvolutionInputs) => Tensor) =>
        run((...sources) => apply(named(sources)), inputs)[0];
      expect(relativeError(build(gatedConvolution), build(oneByOne))).toBeLessThan(1e-14);
    }
  });

  it('has the gradients of finite differences', () => {
    checkGradient((...sources) => gatedConvolution(named(sources)), inputsOf(3, 4));
    checkGradient((...sources) => gatedConvolution(named(sources)), [...inputsOf(2, 9), documents]);
  });

  it('counts the filters as model FLOPs, and nothing else', () => {
    const graph = new Graph();
    const sources = inputsOf(3, 7).map(({ shape }, i) => graph.source('input', `in${i}`, shape));
    const node = gatedConvolution(named(sources)).producer?.node;
    const cost = node?.operation.cost(node.inputs, node.outputs, node.attributes);
    expect(cost).toMatchObject({ model: 2 * (3 * 3 + 7) * 48, executed: 2 * (3 * 3 + 7) * 48 });
  });

  it('refuses operands that do not fit', () => {
    const graph = new Graph();
    const source = (...shape: number[]) => graph.source('input', `x${graph.sources.length}`, shape);
    const given =
      (groups: number, taps: number, shortTaps: number, width = 6) =>
      () => {
        const [q, k] = [source(1, 5, 6), source(1, 5, width)];
        const [qFilter, kFilter, vFilter] = [0, 1, 2].map(() => source(6, shortTaps));
        return gatedConvolution({ q, k, v: q, qFilter, kFilter, vFilter, taps: source(groups, taps) });
      };
    expect(given(3, 4, 3)().shape).toEqual([1, 5, 6]);
    expect(given(4, 3, 3)).toThrow('6 channels cannot share 4 filters evenly');
    expect(given(3, 1, 3)).toThrow('the filter has one tap');
    expect(given(3, 4, 17)).toThrow('the short filters have 17 taps');
    expect(given(3, 4, 3, 8)).toThrow(`'k' must be`);
  });
});
