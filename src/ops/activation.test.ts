import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { activation, activationBackward, glu } from './activation.ts';
import type { ActivationKind } from './activations.ts';
import { activations } from './activations.ts';
import { checkGradient, floats, givenFloats, run } from './testing.ts';

const kinds = Object.keys(activations) as ActivationKind[];

describe('activation', () => {
  // Values of the definitions, written out rather than computed by the code under test.
  it.each<[ActivationKind, number, number]>([
    ['silu', 1, 0.7310585786300049],
    ['silu', -2, -0.2384058440442351],
    ['gelu', 1, 0.8411919906082768],
    ['geluErf', 1, 0.8413447460685429],
    ['geluErf', -2.5, -0.01552416331444033],
    ['relu2', 1.5, 2.25],
    ['relu2', -1.5, 0],
    ['sigmoid', -1, 0.2689414213699951],
    ['softplus', 1, 1.3132616875182228],
    ['tanh', 0.5, 0.46211715726001],
    ['exp', 2, 7.38905609893065],
  ])('%s(%f)', (kind, x, expected) => {
    const [y] = run((t) => activation(t, { kind }), [givenFloats([1], [x])]);
    expect(y[0]).toBeCloseTo(expected, 14);
  });

  it('stays finite far out', () => {
    for (const kind of kinds.filter((name) => name !== 'exp')) {
      const [y, dx] = run(
        (x) => [activation(x, { kind }), activationBackward(x, x, { kind })],
        [givenFloats([2], [-1000, 1000])],
      );
      expect([...y, ...dx].every(Number.isFinite), kind).toBe(true);
    }
    const [softplus] = run((x) => activation(x, { kind: 'softplus' }), [givenFloats([2], [1000, -40])]);
    expect(softplus[0]).toBe(1000);
    expect(softplus[1]).toBeCloseTo(Math.exp(-40), 25);
  });

  it.each(kinds)('%s has gradients, alone and as gate', (kind) => {
    // Away from 0, where the second derivative of relu2 jumps.
    const values = floats([3, 21], { low: -2, high: 2 });
    const shifted = givenFloats(
      [3, 21],
      Array.from(values.values, (x) => x + (x < 0 ? -0.01 : 0.01)),
    );
    checkGradient((x) => activation(x, { kind }), [shifted]);
    checkGradient((gate, up) => glu(gate, up, { kind }), [shifted, floats([3, 21], { seed: 5 })]);
    checkGradient((gate, up) => glu(gate, up, { kind }), [floats([1]), floats([1], { seed: 5 })]);
  });

  it('refuses unknown kinds and shapes that differ', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2]);
    const y = graph.source('input', 'y', [3]);
    expect(() => activation(x, { kind: 'swish' as ActivationKind })).toThrow(
      "activation: attribute kind is 'swish'; allowed: silu, gelu, geluErf, relu2",
    );
    expect(() => glu(x, y, { kind: 'silu' })).toThrow("glu: 'up' must have shape [2]");
  });
});
