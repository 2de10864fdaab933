import { describe, expect, it } from 'vitest';
import { elementCount } from '../../graph/index.ts';
import { initialize } from '../../nn/index.ts';
import { relativeError } from '../../ops/sequenceTesting.ts';
import type { Run } from '../testing.ts';
import { parameterCount, parameterSpecs, runLayer } from '../testing.ts';
import { rgLru } from './rgLru.ts';

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const gelu = (x: number): number =>
  (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2;

/** W x + b. */
function affine(run: Run, name: string, x: readonly number[]): number[] {
  const [weight, bias] = [run.parameter(`${name}.weight`), run.parameter(`${name}.bias`)];
  return Array.from(bias, (shift, row) =>
    x.reduce((sum, value, i) => sum + value * weight[row * x.length + i], shift),
  );
}

/** One gate: feature o of block h reads the features of its block. */
function gate(run: Run, name: string, x: readonly number[], heads: number): number[] {
  const [weight, bias] = [run.parameter(`${name}.weight`), run.parameter(`${name}.bias`)];
  const size = x.length / heads;
  return x.map((_, at) => {
    const [h, o] = [Math.floor(at / size), at % size];
    let sum = bias[at];
    for (let i = 0; i < size; i++) sum += x[h * size + i] * weight[(h * size + i) * size + o];
    return sigmoid(sum);
  });
}

describe('rg-lru', () => {
  it('is its definition, token by token', () => {
    const [width, length, features, heads, taps] = [4, 7, 6, 3, 3];
    const run = runLayer(rgLru, { width: features, heads, convolution: taps }, { width, length });
    const lambda = run.parameter('lambda');
    const inputs = Array.from({ length }, (_, t) => [...run.x.subarray(t * width, (t + 1) * width)]);
    const entered = inputs.map((u) => affine(run, 'input', u));
    const filter = run.parameter('convolution.weight');
    let h = new Array<number>(features).fill(0);
    const expected = inputs.flatMap((u, t) => {
      const x = Array.from(run.parameter('convolution.bias'), (shift, e) => {
        let sum = shift;
        for (let k = 0; k < taps; k++) {
          sum += filter[e * taps + k] * (entered[t - (taps - 1) + k]?.[e] ?? 0);
        }
        return sum;
      });
      const keep = gate(run, 'recurrenceGate', x, heads);
      const enter = gate(run, 'inputGate', x, heads);
      h = h.map((before, e) => {
        const a = Math.exp(-8 * keep[e] * Math.log1p(Math.exp(lambda[e])));
        return a * before + (t === 0 ? 1 : Math.sqrt(1 - a * a)) * enter[e] * x[e];
      });
      const y = affine(run, 'gate', u).map(gelu);
      return affine(
        run,
        'output',
        h.map((value, e) => value * y[e]),
      );
    });
    expect(relativeError(run.y, expected)).toBeLessThan(1e-12);
  });

  it('starts with decays spread over the ring from 0.9 to 0.999', () => {
    const spec = parameterSpecs(rgLru, { width: 4000 }, 8).find(({ name }) => name === 'lambda');
    if (!spec) throw new Error('no lambda');
    const values = new Float32Array(elementCount(spec.shape));
    initialize(spec, 1, values);
    const squares = Array.from(values, (value) => Math.exp(-2 * Math.log1p(Math.exp(value))));
    expect(Math.min(...squares)).toBeGreaterThan(0.9 ** 2 - 1e-6);
    expect(Math.max(...squares)).toBeLessThan(0.999 ** 2 + 1e-6);
    const mean = squares.reduce((sum, value) => sum + value, 0) / squares.length;
    expect(mean).toBeCloseTo((0.9 ** 2 + 0.999 ** 2) / 2, 2);
    expect(spec.decay).toBe(false);
  });

  it('has a gate per block of features', () => {
    const blocks = 2 * (10 * 256 * 256 + 2560);
    const projections = 3 * 2560 * 2560 + 3 * 2560;
    expect(parameterCount(rgLru, { heads: 10 }, 2560)).toBe(projections + blocks + 5 * 2560 + 2560);
  });

  it('says when the blocks do not fit', () => {
    expect(rgLru.check({ heads: 3 }, 8)).toMatchObject([{ option: 'heads' }]);
    expect(rgLru.check({ heads: 3, width: 9 }, 8)).toEqual([]);
  });
});
