import { describe, expect, it } from 'vitest';
import { blocksOf, parseModelConfig } from '../config.ts';
import { findPreset, presets } from './registry.ts';

describe('presets', () => {
  it('have names of their own, made of family and size', () => {
    expect(new Set(presets.map((preset) => preset.name)).size).toBe(presets.length);
    for (const { name, family, size, config } of presets) {
      expect(name).toBe(`${family}-${size}`);
      expect(config.name).toBe(name);
    }
  });

  it('are there at nano and 10m for every family that is not only published', () => {
    const families = [...new Set(presets.map(({ family }) => family))].filter(
      (family) => family !== 'hymba-nvidia',
    );
    expect(families.length).toBeGreaterThan(25);
    for (const family of families) {
      for (const size of ['nano', '10m']) expect(findPreset(`${family}-${size}`).followsTokenizer).toBe(true);
    }
  });

  it.each(presets.map((preset) => [preset.name, preset] as const))('%s is a configuration', (_, preset) => {
    expect(blocksOf(parseModelConfig(preset.config)).length).toBeGreaterThan(0);
  });

  it('say where published sizes come from', () => {
    const published = presets.filter(({ source }) => source !== undefined);
    expect(published.length).toBeGreaterThan(60);
    for (const { followsTokenizer } of published) expect(followsTokenizer).toBe(false);
  });

  it.each([
    ['shm-135m', '(mamba1+mlp attention+mlp)*2 mamba1+mlp'],
    ['shm-350m', '(mamba1+mlp attention+mlp)*10'],
    ['mamba1-1b', 'mamba1*34'],
    ['llama-350m', 'attention+mlp*25'],
    ['flowhn-none-nano', '(attention+mlp & mamba1+mlp)*2'],
    ['flowhn-fac-350m', '(attention+mlp | mamba1+mlp)*9'],
    ['samba-421m', '(mamba1+mlp attention+mlp)*6'],
    ['falcon-h1-0.5b', '(attention & mamba2)+mlp*36'],
  ])('%s is %s', (name, pattern) => {
    expect(findPreset(name).config.pattern).toBe(pattern);
  });

  it('shortens the chunks at nano', () => {
    expect(findPreset('flowhn-chunks-nano').config.routing).toMatchObject({ chunk: 16 });
    expect(findPreset('flowhn-chunks-10m').config.routing).toMatchObject({ chunk: 64 });
  });

  it('helps with a misspelt name', () => {
    expect(() => findPreset('flowhn-fca-135m')).toThrow(
      /no preset 'flowhn-fca-135m'\. Did you mean 'flowhn-fac?-135m'\?.*families: llama/,
    );
  });
});

/** Places, from 0, of the layers of a preset whose label matches. */
function places(name: string, pattern: RegExp): readonly number[] {
  const blocks = blocksOf(parseModelConfig(findPreset(name).config));
  return blocks.flatMap((block, place) => {
    const names = block.kind === 'term' ? block.layers : block.kind === 'parallel' ? block.branches : [];
    const text = JSON.stringify(names);
    return pattern.test(text) ? [place] : [];
  });
}

describe('layouts', () => {
  const attention = /"type":"attention"/;

  it.each([
    // Jamba: i mod 8 = 4; SHM: odd layers; StripedHyena 2 and Nemotron-H: as released.
    ['jamba-moe-52b', [4, 12, 20, 28]],
    ['shm-350m', [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]],
    ['stripedhyena2-1b', [3, 10, 17, 24]],
    ['stripedhyena2-7b', [3, 10, 17, 24, 31]],
    ['stripedhyena2-20b', [3, 10, 17]],
    ['stripedhyena2-40b', [3, 10, 17, 24, 31, 35, 42, 49]],
    ['stripedhyena1-7b', [3, 10, 17, 24, 31]],
    ['nemotron-h-8b', [7, 18, 29, 40]],
  ])('%s has attention in layers %o', (name, expected) => {
    expect(places(name, attention)).toEqual(expected);
  });

  it.each([
    // Counted from 1, as the paper does.
    ['bae-inter-1to1-1b', [2, 4, 6, 8, 10, 12, 14]],
    ['bae-inter-1to5-1b', [5, 9]],
    ['bae-inter-1to12-1b', [7]],
    ['bae-intra-1to1-1b', [2, 4, 6, 8, 10, 12, 13]],
    ['bae-intra-1to3-1b', [4, 7, 11]],
    ['bae-intra-1to5-1b', [5, 9]],
  ])('%s has attention in blocks %o', (name, expected) => {
    expect(places(name, attention).map((place) => place + 1)).toEqual(expected);
  });

  it('of Bae et al. with windows has three of sixteen that see everything', () => {
    expect(places('bae-swa-1to5-1b', /"name":"attention"/).map((place) => place + 1)).toEqual([5, 9, 13]);
  });

  it('of Zamba2 reads the memories in turn at the published layers', () => {
    const reading = places('zamba2-2.7b', /memory-mamba2/);
    expect(reading).toEqual([6, 12, 18, 24, 30, 36, 42, 47, 51]);
    expect(places('zamba2-2.7b', /"memory0"/)).toEqual(reading.filter((_, index) => index % 2 === 0));
  });

  it('of Hymba sees everything in three layers and shares keys in the published groups', () => {
    expect(places('hymba-nvidia-1.5b', /"global"/)).toEqual([0, 15, 31]);
    const owners = places('hymba-nvidia-1.5b', /"offersKeys"/);
    expect(owners).toEqual([1, 3, 5, 7, 9, 11, 13, 16, 19, 21, 23, 25, 27, 29]);
    expect(places('hymba-nvidia-1.5b', /"keysFrom"/)).toHaveLength(32 - 3 - owners.length);
    expect(places('hymba-nvidia-125m', /"global"/)).toEqual([0, 11, 23]);
  });
});
