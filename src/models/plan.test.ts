import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { buildModel } from './build.ts';
import { parseModelConfig } from './config.ts';
import type { ModelPlan } from './plan.ts';
import { planModel } from './plan.ts';
import { findPreset } from './presets/index.ts';

function plan(preset: string, length = 1024, change: object = {}): ModelPlan {
  return planModel(parseModelConfig({ ...findPreset(preset).config, ...change }), { length });
}

/** FLOPs per token of the matrix products with weights under a path: no scores, scan or convolution. */
function linearFlops(preset: string, path: string): number {
  const graph = new Graph();
  const config = parseModelConfig(findPreset(preset).config);
  buildModel(graph, config, { batch: 1, length: 64, documents: false });
  const products = graph.nodes.filter(
    (node) => node.operation.name === 'matmul' && node.path.startsWith(path),
  );
  const flops = products.map(
    ({ operation, inputs, outputs, attributes }) => operation.cost(inputs, outputs, attributes).model,
  );
  return flops.reduce((sum, value) => sum + value, 0) / 64;
}

describe('planModel', () => {
  it('counts parameters with and without embedding and head', () => {
    const none = plan('flowhn-none-135m');
    expect(none.parameters).toEqual({ total: 133_576_096, nonEmbedding: 133_576_096 - 2 * 65_536 * 768 });
    expect(none.memory).toEqual({
      weights: 4 * 133_576_096,
      gradients: 4 * 133_576_096,
      optimizer: 8 * 133_576_096,
    });
    const tied = plan('llama-nano', 32, { tiedHead: true });
    expect(tied.parameters.total - tied.parameters.nonEmbedding).toBe(257 * 128);
  });

  it('gives every parameter and every FLOP to one layer', () => {
    for (const preset of ['flowhn-none-nano', 'flowhn-chunks-nano', 'shm-nano']) {
      const { layers, parameters, flopsPerToken } = plan(preset, 16);
      expect(layers.reduce((sum, layer) => sum + layer.parameters, 0)).toBe(parameters.total);
      expect(layers.reduce((sum, layer) => sum + layer.flopsPerToken, 0)).toBeCloseTo(
        flopsPerToken.forward,
        6,
      );
    }
  });

  it.each([
    ['flowhn-none-135m', 12_386_304, 16_908_288],
    ['flowhn-none-350m', 17_825_792, 25_821_184],
    ['flowhn-none-1b', 121_634_816, 153_354_240],
  ])('%s: linear FLOPs per token of the branches are those of the formulas', (preset, attention, mamba) => {
    // 5d² + 6df and 12.5d² + 128d + 6df
    expect(linearFlops(preset, 'blocks.0.branch0')).toBe(attention);
    expect(linearFlops(preset, 'blocks.0.branch1')).toBe(mamba);
  });

  it('counts scores, scan and convolution in the branches of a parallel block', () => {
    const [block] = plan('flowhn-none-135m').blocks;
    expect(block).toMatchObject({
      kind: 'parallel',
      strategy: 'none',
      ratio: null,
      fusion: 'concat-project',
    });
    const [attention, mamba] = block?.branches ?? [];
    expect(attention).toMatchObject({ label: 'attention+mlp', tokens: 1024, parameters: 6_194_688 });
    expect(mamba).toMatchObject({ label: 'mamba1+mlp', tokens: 1024, parameters: 8_491_088 });
    expect(attention?.flops).toBe(12_386_304 * 1024 + 4 * 768 * ((1024 * 1025) / 2));
    // Convolution 2·4·Di, scan 9·Di·N + 2·Di
    expect(mamba?.flops).toBe((16_908_288 + 8 * 1536 + 9 * 1536 * 16 + 2 * 1536) * 1024);
  });

  it('counts the head, and training as three times the forward', () => {
    const { flopsPerToken, blocks } = plan('flowhn-none-135m');
    const branches =
      blocks.flatMap((block) => block.branches).reduce((sum, branch) => sum + branch.flops, 0) / 1024;
    const expected = branches + 2 * 6 * 768 * 768 + 2 * 768 * 65_536;
    expect(flopsPerToken.forward).toBeCloseTo(expected, 3);
    expect(flopsPerToken.training).toBeCloseTo(3 * expected, 3);
  });

  // Section 3 of the notes on FlowHN: balance with causal scores, to three digits.
  it.each([
    ['flowhn-fac-135m', 1024, 0.564],
    ['flowhn-fac-135m', 4096, 0.522],
    ['flowhn-fa-135m', 8192, 0.482],
    ['flowhn-fac-135m', 32_768, 0.36],
    ['flowhn-fac-350m', 1024, 0.579],
    ['flowhn-fac-350m', 32_768, 0.377],
    ['flowhn-fac-1b', 1024, 0.554],
    ['flowhn-fac-1b', 8192, 0.525],
  ])('%s balances %i tokens at a ratio of %f', (preset, length, ratio) => {
    for (const block of plan(preset, length).blocks) {
      // Three digits, and whole tokens.
      expect(Math.abs((block.ratio ?? 0) - ratio)).toBeLessThan(0.0005 + 0.5 / length);
      expect(block.balance).toBeGreaterThan(0.99);
    }
  });

  it('sends 577 of 1024 tokens to attention at 135m', () => {
    const [block] = plan('flowhn-fac-135m').blocks;
    expect(block).toMatchObject({ kind: 'routed', strategy: 'fac' });
    expect(block?.branches.map((branch) => branch.tokens)).toEqual([577, 447]);
  });

  it('takes a ratio that is given', () => {
    const [block] = plan('flowhn-fac-135m', 1000, { routing: { strategy: 'fac', ratio: 0.25 } }).blocks;
    expect(block?.branches.map((branch) => branch.tokens)).toEqual([250, 750]);
    expect(block?.ratio).toBe(0.25);
  });

  it('adds up the states of a sequence', () => {
    const cache = 2 * 256 * 2 * 32 * 4 + 4;
    expect(plan('llama-nano', 256).states.bytes).toBe(5 * cache);
    // Window of 3 inputs and 16 states for each of 256 inner features.
    expect(plan('mamba1-nano', 256).states.bytes).toBe(8 * (3 * 256 + 256 * 16) * 4);
    expect(plan('mamba1-nano', 4096).states.bytes).toBe(plan('mamba1-nano', 16).states.bytes);
  });

  it('counts states in BF16 too, and what one more token adds', () => {
    const { states } = plan('llama-nano', 256);
    expect(states.bfloat16).toBe(5 * (2 * 256 * 2 * 32 * 2 + 4));
    expect(states.perToken).toEqual({ bytes: 5 * 2 * 2 * 32 * 4, bfloat16: 5 * 2 * 2 * 32 * 2 });
    expect(plan('mamba1-nano', 256).states.perToken).toEqual({ bytes: 0, bfloat16: 0 });
    expect(plan('flowhn-fac-nano', 256).states.perToken).toBeNull();
  });

  it('tells what speaks against the layout', () => {
    expect(plan('llama-nano', 16).findings).toEqual([]);
    const pattern = 'attention+mlp mamba1+mlp';
    const { findings } = plan('shm-nano', 16, { pattern });
    expect(findings).toEqual([
      expect.objectContaining({ path: 'blocks.0', source: expect.stringContaining('arXiv:2510.04800') }),
    ]);
  });

  it('says why a strategy whose split depends on the length has no states', () => {
    const { states } = plan('flowhn-fac-nano', 256);
    expect(states).toMatchObject({ bytes: null, tensors: [] });
    expect(states.reason).toMatch(/'fac' splits a row by its length/);
  });
});
