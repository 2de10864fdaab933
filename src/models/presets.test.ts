import { describe, expect, it } from 'vitest';
import { blocksOf, parseModelConfig } from './config.ts';
import { findPreset, presets } from './presets.ts';

describe('presets', () => {
  it('have names of their own, families at every size', () => {
    expect(new Set(presets.map((preset) => preset.name)).size).toBe(presets.length);
    const sizes = new Map<string, number>();
    for (const { size } of presets) sizes.set(size, (sizes.get(size) ?? 0) + 1);
    expect([...sizes]).toEqual([
      ['nano', 10],
      ['10m', 10],
      ['135m', 10],
      ['350m', 10],
      ['1b', 10],
    ]);
  });

  it.each(presets.map((preset) => [preset.name, preset] as const))('%s is a configuration', (_, preset) => {
    expect(blocksOf(parseModelConfig(preset.config)).length).toBeGreaterThan(0);
  });

  it.each([
    ['shm-135m', '(mamba1+mlp attention+mlp)*2 mamba1+mlp'],
    ['shm-350m', '(mamba1+mlp attention+mlp)*10'],
    ['mamba1-1b', 'mamba1*34'],
    ['llama-350m', 'attention+mlp*25'],
    ['flowhn-none-nano', '(attention+mlp & mamba1+mlp)*2'],
    ['flowhn-fac-350m', '(attention+mlp | mamba1+mlp)*9'],
  ])('%s is %s', (name, pattern) => {
    expect(findPreset(name).config.pattern).toBe(pattern);
  });

  it('shortens the chunks at nano', () => {
    expect(findPreset('flowhn-chunks-nano').config.routing).toMatchObject({ chunk: 16 });
    expect(findPreset('flowhn-chunks-10m').config.routing).toMatchObject({ chunk: 64 });
  });

  it('helps with a misspelt name', () => {
    expect(() => findPreset('flowhn-fca-135m')).toThrow(
      /no preset 'flowhn-fca-135m'\. Did you mean 'flowhn-fac?-135m'\?.*families: llama.*sizes: nano, 10m/,
    );
  });
});
