/** FLOPs and caches of published models, in the digits in which they are printed. */
import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../config.ts';
import type { ModelPlan, StatePlan } from '../plan.ts';
import { planModel } from '../plan.ts';
import { findPreset } from './registry.ts';

const plans = new Map<string, ModelPlan>();

function plan(name: string): ModelPlan {
  const known = plans.get(name);
  if (known) return known;
  const { config, length } = findPreset(name);
  const made = planModel(parseModelConfig(config), { length });
  plans.set(name, made);
  return made;
}

const elements = ({ shape }: StatePlan): number => shape.reduce((product, extent) => product * extent, 1);

describe('Bae et al. 2025', () => {
  /** Training on 60 billion tokens of rows of 8192; they do not count the head. */
  function flops(name: string): string {
    const { width, vocabulary } = parseModelConfig(findPreset(name).config);
    const { training } = plan(name).flopsPerToken;
    return ((60e9 * (training - 6 * width * vocabulary)) / 1e20).toFixed(1);
  }

  it.each([
    ['bae-transformer-1b', '4.5'],
    ['bae-swa-1to5-1b', '3.8'],
    ['bae-mamba2-1b', '3.7'],
    ['bae-inter-1to1-1b', '3.9'],
    ['bae-inter-1to3-1b', '3.7'], // printed as 3.6; their own formula gives 3.66
    ['bae-inter-1to5-1b', '3.7'],
    ['bae-inter-1to12-1b', '3.7'],
    // Printed as 4.2; here scores of half as many features of queries and keys are counted as such.
    ['bae-intra-1to0-1b', '4.1'],
    ['bae-intra-1to1-1b', '3.9'],
    ['bae-intra-1to3-1b', '3.8'],
    ['bae-intra-1to5-1b', '3.7'],
    ['bae-intra-1to12-1b', '3.7'],
    ['bae-transformer-350m', '1.9'],
    ['bae-mamba2-350m', '1.4'],
  ])('%s: %se20 FLOPs', (name, printed) => {
    expect(flops(name)).toBe(printed);
  });

  /** In MiB and BF16. They keep K inputs of a convolution, of which K − 1 are needed; those of Braid are 3 of 4. */
  function cache(name: string): number {
    const bytes = plan(name).states.tensors.reduce((sum, state) => {
      if (state.dtype !== 'float32') return sum;
      return sum + 2 * elements(state) * (state.kind === 'window' ? 4 / 3 : 1);
    }, 0);
    return bytes / 2 ** 20;
  }

  it.each([
    ['bae-transformer-1b', '256'],
    ['bae-swa-1to5-1b', '63'],
    ['bae-mamba2-1b', '13.43'],
    ['bae-inter-1to1-1b', '119.2'],
    ['bae-inter-1to3-1b', '58.3'],
    ['bae-inter-1to5-1b', '43.4'],
    ['bae-inter-1to12-1b', '28.4'],
    // Printed as 180 and 89; recomputed from the published sizes.
    ['bae-intra-1to0-1b', '170'],
    ['bae-intra-1to1-1b', '98'],
    ['bae-intra-1to3-1b', '49.6'],
    ['bae-intra-1to5-1b', '37.5'],
    ['bae-intra-1to12-1b', '25'], // printed as 23
    ['bae-intra-1to0-350m', '109.5'],
    ['bae-intra-1to1-350m', '63.6'],
    ['bae-intra-1to3-350m', '36.1'],
    ['bae-intra-1to5-350m', '26.9'],
    ['bae-intra-1to12-350m', '17.7'],
  ])('%s: a cache of %s MiB', (name, printed) => {
    expect(cache(name).toFixed(/\.(\d+)/.exec(printed)?.[1]?.length ?? 0)).toBe(printed);
  });
});

describe('StripedHyena 2', () => {
  /** Windows in BF16 and modes in float32, caches of attention left out; in MB. */
  function constant(name: string, part: RegExp): number {
    const bytes = plan(name).states.tensors.reduce((sum, state) => {
      if (state.kind === 'append' || state.dtype !== 'float32' || !part.test(state.name)) return sum;
      return sum + elements(state) * (state.kind === 'window' ? 2 : 4);
    }, 0);
    return bytes / 1e6;
  }

  it('7B carries 13.5 MB that do not grow, and 81,920 bytes a token', () => {
    const featurizer = /\.(query|key|value)Window$/;
    expect(constant('stripedhyena2-7b', featurizer).toFixed(1)).toBe('1.3');
    expect(constant('stripedhyena2-7b', /hyena-se\.(?!(query|key|value)Window)/).toFixed(2)).toBe('0.44');
    expect(constant('stripedhyena2-7b', /hyena-mr\.(?!(query|key|value)Window)/).toFixed(1)).toBe('9.4');
    expect(constant('stripedhyena2-7b', /\.modes$/).toFixed(1)).toBe('2.4');
    expect(constant('stripedhyena2-7b', /./).toFixed(1)).toBe('13.5');
    expect(plan('stripedhyena2-7b').states.perToken?.bfloat16).toBe(81_920);
  });

  it('40B carries about 42 MB, and 262,144 bytes a token', () => {
    expect(constant('stripedhyena2-40b', /./).toFixed(0)).toBe('42');
    expect(plan('stripedhyena2-40b').states.perToken?.bfloat16).toBe(262_144);
  });
});

describe('state-space models', () => {
  it.each(['mamba1-2.8b', 'mamba2-2.7b'])('%s carries the same at every length', (name) => {
    expect(plan(name).states.perToken).toEqual({ bytes: 0, bfloat16: 0 });
  });
});
