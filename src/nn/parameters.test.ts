import { describe, expect, it } from 'vitest';
import type { Initializer } from './parameters.ts';
import { initialize, ParameterList } from './parameters.ts';

function values(
  initializer: Initializer,
  shape: readonly number[],
  name = 'layer.weight',
  seed = 1,
): Float32Array {
  const target = new Float32Array(shape.reduce((product, size) => product * size, 1));
  initialize({ name, shape, initializer, decay: true }, seed, target);
  return target;
}

describe('initialize', () => {
  it('makes normal values of the deviation asked for', () => {
    const weights = values({ kind: 'normal', deviation: 0.02 }, [100, 200]);
    const deviation = Math.sqrt(weights.reduce((sum, value) => sum + value * value, 0) / weights.length);
    expect(deviation).toBeGreaterThan(0.0196);
    expect(deviation).toBeLessThan(0.0204);
  });

  it('depends on name and seed only', () => {
    const initializer = { kind: 'normal', deviation: 1 } as const;
    expect(values(initializer, [4, 4])).toEqual(values(initializer, [16]));
    expect(values(initializer, [16], 'other.weight')).not.toEqual(values(initializer, [16]));
    expect(values(initializer, [16], 'layer.weight', 2)).not.toEqual(values(initializer, [16]));
  });

  it('counts log(1) to log(N) along the last axis', () => {
    expect([...values({ kind: 'logRange' }, [2, 3])]).toEqual(
      [1, 2, 3, 1, 2, 3].map((n) => Math.fround(Math.log(n))),
    );
  });

  it('gives time steps between the bounds, spread evenly by their logarithm', () => {
    const bias = values({ kind: 'inverseSoftplus', low: 1e-3, high: 0.1 }, [4000]);
    const steps = [...bias].map((b) => Math.log1p(Math.exp(b)));
    expect(Math.min(...steps)).toBeGreaterThanOrEqual(0.000999);
    expect(Math.max(...steps)).toBeLessThanOrEqual(0.1001);
    const below = steps.filter((step) => step < 0.01).length / steps.length;
    expect(below).toBeGreaterThan(0.47);
    expect(below).toBeLessThan(0.53);
  });

  it('spreads the exponentials of logUniform evenly', () => {
    const exponentials = [...values({ kind: 'logUniform', low: 1, high: 16 }, [4000])].map(Math.exp);
    expect(Math.min(...exponentials)).toBeGreaterThan(0.999);
    expect(Math.max(...exponentials)).toBeLessThan(16.001);
    const mean = exponentials.reduce((sum, value) => sum + value, 0) / exponentials.length;
    expect(mean).toBeGreaterThan(8.2);
    expect(mean).toBeLessThan(8.8);
  });

  it('gives decays between the bounds, their squares spread evenly', () => {
    const decays = [...values({ kind: 'ringDecay', low: 0.9, high: 0.999 }, [4000])].map(
      (b) => 1 / (1 + Math.exp(b)),
    );
    expect(Math.min(...decays)).toBeGreaterThan(0.8999);
    expect(Math.max(...decays)).toBeLessThan(0.9991);
    const middle = (0.9 ** 2 + 0.999 ** 2) / 2;
    const below = decays.filter((decay) => decay ** 2 < middle).length / decays.length;
    expect(below).toBeGreaterThan(0.47);
    expect(below).toBeLessThan(0.53);
  });

  it('fades taps by rows, from the longest to the shortest', () => {
    const taps = values({ kind: 'fadingTaps', shortest: 1, longest: 100 }, [3, 4]);
    const expected = [100, 10, 1].flatMap((length) => [0, 1, 2, 3].map((lag) => Math.exp(-lag / length)));
    expect([...taps]).toEqual(expected.map(Math.fround));
  });

  it('refuses a target of another size', () => {
    const spec = {
      name: 'w',
      shape: [2, 2],
      initializer: { kind: 'constant', value: 0 },
      decay: true,
    } as const;
    expect(() => initialize(spec, 1, new Float32Array(3))).toThrow(/'w' has 4 values.*holds 3/);
  });
});

describe('ParameterList', () => {
  it('keeps a shared parameter once and refuses two meanings of a name', () => {
    const list = new ParameterList();
    const spec = {
      name: 'w',
      shape: [2],
      initializer: { kind: 'constant', value: 1 },
      decay: false,
    } as const;
    list.add(spec);
    list.add({ ...spec });
    expect(list.specs).toEqual([spec]);
    expect(() => list.add({ ...spec, shape: [3] })).toThrow(/declared twice/);
  });
});
