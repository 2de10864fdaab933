/** The Hyena operators against their definition, written out in loops. */
import { describe, expect, it } from 'vitest';
import { initialize } from '../nn/index.ts';
import { relativeError } from '../ops/sequenceTesting.ts';
import { hyenaLi } from './hyena-li/hyenaLi.ts';
import { hyenaMr } from './hyena-mr/hyenaMr.ts';
import { hyenaSe } from './hyena-se/hyenaSe.ts';
import type { RegisteredLayer } from './layer.ts';
import type { Run } from './testing.ts';
import { parameterCount, parameterSpecs, runLayer } from './testing.ts';

const width = 4;
const length = 12;

/** x · Wᵀ, W [outputs, inputs]. */
function project(x: ArrayLike<number>, weight: ArrayLike<number>, inputs: number): Float64Array {
  const outputs = weight.length / inputs;
  const y = new Float64Array((x.length / inputs) * outputs);
  for (let i = 0; i < y.length; i++) {
    const [row, column] = [Math.floor(i / outputs), i % outputs];
    for (let k = 0; k < inputs; k++) y[i] += x[row * inputs + k] * weight[column * inputs + k];
  }
  return y;
}

/** Σ_τ h(channel, τ) · u_{t−τ}. */
function convolve(u: Float64Array, h: (channel: number, lag: number) => number): Float64Array {
  return u.map((_, i) => {
    const [t, channel] = [Math.floor(i / width), i % width];
    let sum = 0;
    for (let lag = 0; lag <= t; lag++) sum += h(channel, lag) * u[(t - lag) * width + channel];
    return sum;
  });
}

/** The operator as its equations say; `h` is the inner filter, the skip included. */
function define(run: Run, h: (channel: number, lag: number) => number): Float64Array {
  const stream = (name: string): Float64Array => {
    const taps = run.parameter(`${name}Convolution.weight`);
    const short = (channel: number, lag: number): number => (lag < 3 ? taps[channel * 3 + 2 - lag] : 0);
    return convolve(project(run.x, run.parameter(`${name}.weight`), width), short);
  };
  const [q, k, v] = ['query', 'key', 'value'].map(stream);
  const z = convolve(
    k.map((value, i) => value * v[i]),
    h,
  );
  const bias = run.parameter('output.bias');
  const gated = z.map((value, i) => value * q[i]);
  return project(gated, run.parameter('output.weight'), width).map((value, i) => value + bias[i % width]);
}

function expectDefinition(run: Run, h: (channel: number, lag: number) => number): void {
  expect(relativeError(run.y, define(run, h))).toBeLessThan(1e-12);
}

const sizes = { width, length };

describe('hyena-se', () => {
  it.each(['direct', 'blocked'])('is its definition, %s: the first tap is lag 0', (algorithm) => {
    const run = runLayer(hyenaSe, { taps: 5, groupSize: 2, algorithm, block: 3 }, sizes);
    const taps = run.parameter('taps');
    expectDefinition(run, (channel, lag) => (lag < 5 ? taps[Math.floor(channel / 2) * 5 + lag] : 0));
  });

  it('shares a filter among neighbours as if each had its own copy', () => {
    const shared = runLayer(hyenaSe, { taps: 3, groupSize: 2 }, sizes);
    const taps = Array.from(shared.parameter('taps'));
    const copies = [...taps.slice(0, 3), ...taps.slice(0, 3), ...taps.slice(3), ...taps.slice(3)];
    expect(runLayer(hyenaSe, { taps: 3, groupSize: 1 }, sizes, { taps: copies }).y).toEqual(shared.y);
  });
});

describe('hyena-mr', () => {
  it.each(['direct', 'blocked'])('is its definition, %s, with taps that fade and a skip', (algorithm) => {
    const options = { taps: 7, groupSize: 2, decayLengths: [2, 50], algorithm, block: 4 };
    const run = runLayer(hyenaMr, options, sizes);
    const [taps, skip] = [run.parameter('taps'), run.parameter('skip')];
    const fade = (group: number, lag: number): number => Math.fround(Math.exp(-lag / [50, 2][group]));
    expectDefinition(run, (channel, lag) => {
      const group = Math.floor(channel / 2);
      return (lag < 7 ? taps[group * 7 + lag] * fade(group, lag) : 0) + (lag === 0 ? skip[channel] : 0);
    });
  });

  it('trains its taps and not their fading', () => {
    const specs = parameterSpecs(hyenaMr, { groupSize: 4 }, 8);
    expect(specs.filter(({ fixed }) => fixed).map(({ name }) => name)).toEqual(['fade']);
    expect(specs.find(({ name }) => name === 'taps')).toMatchObject({ shape: [2, 128], decay: false });
  });

  it('says when decay lengths are in the wrong order', () => {
    expect(hyenaMr.check({ groupSize: 1, decayLengths: [3, 2] }, 8)).toMatchObject([
      { option: 'decayLengths' },
    ]);
  });
});

describe('hyena-li', () => {
  it('is its definition, with a filter as long as the row', () => {
    const run = runLayer(hyenaLi, { modes: 3, chunk: 5 }, sizes);
    const [residues, rates] = [run.parameter('residues'), run.parameter('logRates')];
    const skip = run.parameter('skip');
    expectDefinition(run, (channel, lag) => {
      let h = lag === 0 ? skip[channel] : 0;
      for (let n = 0; n < 3; n++) {
        h += residues[channel * 3 + n] * Math.exp(-lag * Math.exp(rates[channel * 3 + n]));
      }
      return h;
    });
  });

  it('starts with poles that remember 27 to 272 tokens', () => {
    const spec = parameterSpecs(hyenaLi, {}, 64).find(({ name }) => name === 'logRates');
    if (!spec) throw new Error('no logRates');
    const rates = new Float32Array(64 * 16);
    initialize(spec, 1, rates);
    const poles = [...rates].map((rate) => Math.exp(-Math.exp(rate)));
    expect(Math.min(...poles)).toBeGreaterThan(0.9638);
    expect(Math.max(...poles)).toBeLessThan(0.9964);
  });
});

const operators: [RegisteredLayer, number][] = [
  [hyenaSe, 8 * 7],
  [hyenaMr, 8 * 128 + 8 * 128 + 128],
  [hyenaLi, 2 * 128 * 16 + 128],
];

describe('every Hyena operator', () => {
  it.each(operators.map(([layer, filter]) => ({ name: layer.name, layer, filter })))(
    '$name has four projections, three short filters and its own',
    ({ layer, filter }) => {
      expect(parameterCount(layer, {}, 128)).toBe(4 * 128 ** 2 + 128 + 9 * 128 + filter);
    },
  );

  it.each([hyenaSe, hyenaMr])('$name says when groups do not fit', (layer) => {
    expect(layer.check({ groupSize: 3 }, 8)).toMatchObject([{ option: 'groupSize' }]);
    expect(layer.check({ groupSize: 3, width: 9 }, 8)).toEqual([]);
  });
});
