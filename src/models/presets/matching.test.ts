/** How near the sets of FlowHN's comparison come to FlowHN: `-params` in parameters, `-flops` in FLOPs per token. */
import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../config.ts';
import type { ModelPlan } from '../plan.ts';
import { planModel } from '../plan.ts';
import { findPreset } from './registry.ts';

const sizes = ['135m', '350m', '1b'] as const;
const plans = new Map<string, ModelPlan>();

function plan(name: string): ModelPlan {
  const known = plans.get(name);
  if (known) return known;
  const { config, length } = findPreset(name);
  const made = planModel(parseModelConfig(config), { length });
  plans.set(name, made);
  return made;
}

const nonEmbedding = (name: string): number => plan(name).parameters.nonEmbedding;
const flops = (name: string): number => plan(name).flopsPerToken.forward;

/** How far one number is from another, in shares of the second. */
const off = (value: number, target: number): number => Math.abs(value / target - 1);

const cases = (families: readonly string[]) =>
  families.flatMap((family) => sizes.map((size) => [family, size] as const));

describe('families with an MLP, whose width gives way', () => {
  it.each(cases(['llama', 'jamba', 'shm', 'hymba']))('%s-%s: within half a percent', (family, size) => {
    const target = `flowhn-none-${size}`;
    expect(off(nonEmbedding(`${family}-${size}-params`), nonEmbedding(target))).toBeLessThan(0.005);
    expect(off(flops(`${family}-${size}-flops`), flops(`flowhn-fac-${size}`))).toBeLessThan(0.005);
  });
});

describe('families without one, whose layers are whole', () => {
  it.each(cases(['mamba1', 'mamba2']))('%s-%s: within half a layer, at most 3.2 %', (family, size) => {
    const target = `flowhn-none-${size}`;
    const params = off(nonEmbedding(`${family}-${size}-params`), nonEmbedding(target));
    expect(params).toBeLessThan(0.032);
    const layers = Number(/\d+$/.exec(String(findPreset(`${family}-${size}-flops`).config.pattern)));
    const found = flops(`${family}-${size}-flops`);
    const layer = (found - 2 * 65_536 * Number(findPreset(target).config.width)) / layers;
    expect(Math.abs(found - flops(`flowhn-fac-${size}`)) / layer).toBeLessThan(0.5);
    expect(off(found, flops(`flowhn-fac-${size}`))).toBeLessThan(0.032);
  });
});

describe('the sets with the published MLP', () => {
  // Half a layer of the largest rival is a quarter of FlowHN's two blocks at 135m.
  it.each(cases(['llama', 'mamba1', 'mamba2', 'jamba', 'hymba']))(
    '%s-%s has the depth that comes nearest',
    (family, size) => {
      const target = nonEmbedding(`flowhn-none-${size}`);
      const found = nonEmbedding(`${family}-${size}`);
      const { layers } = plan(`${family}-${size}`);
      const blocks = new Map<string, number>();
      for (const { path, parameters } of layers) {
        const block = /^blocks\.\d+/.exec(path)?.[0];
        if (block) blocks.set(block, (blocks.get(block) ?? 0) + parameters);
      }
      const largest = Math.max(...blocks.values());
      expect(Math.abs(found - target)).toBeLessThan(largest / 2 + 1);
    },
  );

  it('keeps the published five layers of shm-135m, which are 15 % more than FlowHN has', () => {
    expect(nonEmbedding('shm-135m') / nonEmbedding('flowhn-none-135m')).toBeCloseTo(1.15, 2);
  });
});
