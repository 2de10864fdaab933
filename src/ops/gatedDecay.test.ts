import { describe, expect, it } from 'vitest';
import type { Tensor } from '../graph/index.ts';
import { Graph } from '../graph/index.ts';
import { gatedDecay, gatedDecayBackward } from './gatedDecay.ts';
import type { TestInput } from './testing.ts';
import { checkGradient, floats, givenFloats, integers, run } from './testing.ts';

const shape = [2, 5, 3];
const floatsGiven = [
  floats(shape, { seed: 1, low: -3, high: 3 }),
  floats(shape, { seed: 2, low: -3, high: 3 }),
  floats(shape, { seed: 3 }),
  floats([3], { seed: 4, low: -4, high: 1 }),
];
const documents = integers([2, 5], [0, 0, 2, 2, 2, 0, 0, 0, 0, 4]);

/** With documents, the document of the state and the tokens before, as far as they are given. */
function gates(extra: { readonly [name in 'documents' | 'document' | 'used']?: TestInput }) {
  const names = Object.keys(extra);
  const build = (r: Tensor, i: Tensor, x: Tensor, lambda: Tensor, ...more: Tensor[]): Tensor[] => {
    const given = Object.fromEntries(names.map((name, index) => [name, more[index]]));
    const { a, y } = gatedDecay({ r, i, x, lambda, ...given });
    return [a, y];
  };
  return { build, inputs: [...floatsGiven, ...Object.values(extra)] };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

describe('gatedDecay', () => {
  const cases = [
    ['a fresh row', {}, (_: number, t: number) => t === 0],
    [
      'tokens before one of the rows',
      { used: integers([2], [3, 0]) },
      (b: number, t: number) => b === 1 && t === 0,
    ],
    ['packed rows', { documents }, (b: number, t: number) => [0, b === 0 ? 2 : 4].includes(t)],
    [
      'packed rows, one of which goes on',
      { documents, document: integers([2], [0, -3]), used: integers([2], [3, 3]) },
      (b: number, t: number) => t === (b === 0 ? 2 : 4) || (b === 1 && t === 0),
    ],
  ] as const;

  it.each(cases)('is its definition: %s', (_, extra, first) => {
    const { build, inputs } = gates(extra);
    const [a, y] = run(build, inputs);
    const [r, i, x, lambda] = inputs.map(({ values }) => values);
    for (let at = 0; at < 30; at++) {
      const [b, t, channel] = [Math.floor(at / 15), Math.floor(at / 3) % 5, at % 3];
      const decay = Math.exp(-8 * sigmoid(r[at]) * Math.log1p(Math.exp(lambda[channel])));
      const share = first(b, t) ? 1 : Math.sqrt(1 - decay ** 2);
      expect(a[at]).toBeCloseTo(decay, 13);
      expect(y[at], `row ${b}, position ${t}`).toBeCloseTo(share * sigmoid(i[at]) * x[at], 12);
    }
  });

  it.each(cases)('has gradients: %s', (_, extra) => {
    const { build, inputs } = gates(extra);
    checkGradient(build, inputs);
    checkGradient((...all) => build(...(all as [Tensor, Tensor, Tensor, Tensor])).slice(0, 1), inputs);
    checkGradient((...all) => build(...(all as [Tensor, Tensor, Tensor, Tensor])).slice(1), inputs);
  });

  it('keeps √(1 − a²) where a rounds to 1, and bounds its slope there', () => {
    // −log a = 8 σ(0) softplus(−30) = 3.7e-13: a² is 1 − 7.5e-13.
    const zeros = givenFloats([1, 2, 1], [0, 0]);
    const inputs = [zeros, zeros, givenFloats([1, 2, 1], [1, 1]), givenFloats([1], [-30])];
    const [a, y] = run((r, i, x, lambda) => Object.values(gatedDecay({ r, i, x, lambda })), inputs);
    expect(a[1]).toBeCloseTo(1, 11);
    expect(y[1]).toBeCloseTo(0.5 * Math.sqrt(8 * Math.exp(-30)), 14);
    const [dr] = run(
      (r, i, x, lambda, dy) => gatedDecayBackward({ r, i, x, lambda, dy }).dr,
      [...inputs, givenFloats([1, 2, 1], [1, 1])],
    );
    // σ(i) x · a² / √(1 − a²), the root taken as 1/2000 at least, times 8 softplus(Λ) σ(r)(1 − σ(r)).
    expect(dr[1] / (0.5 * 2000 * 8 * Math.exp(-30) * 0.25)).toBeCloseTo(1, 6);
  });

  it('refuses operands that do not fit', () => {
    const graph = new Graph();
    const r = graph.source('input', 'r', [1, 5, 3]);
    const low = graph.source('input', 'low', [1, 5, 3], 'bfloat16');
    const lambda = graph.source('parameter', 'lambda', [4]);
    expect(() => gatedDecay({ r, i: r, x: r, lambda })).toThrow("'lambda' must be float32 [3]");
    expect(() => gatedDecay({ r: low, i: r, x: r, lambda })).toThrow("'r' must be float32 [1, 5, 3]");
  });
});
