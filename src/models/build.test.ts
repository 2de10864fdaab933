import { describe, expect, it } from 'vitest';
import { elementCount, Graph } from '../graph/index.ts';
import type { ModelOptions } from './build.ts';
import { buildModel } from './build.ts';
import { parseModelConfig } from './config.ts';
import { findPreset } from './presets/index.ts';

function build(preset: string, change: object = {}, options: Partial<ModelOptions> = {}) {
  const graph = new Graph();
  const config = parseModelConfig({ ...findPreset(preset).config, ...change });
  return { graph, model: buildModel(graph, config, { batch: 1, length: 64, documents: false, ...options }) };
}

function parameterCount(preset: string): number {
  return build(preset).model.parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

describe('buildModel', () => {
  // FlowHN: the released code at these sizes. The rivals: the same sizes, worked out by hand from the layers' formulas.
  it.each([
    ['flowhn-none-135m', 133_576_096],
    ['flowhn-ae-135m', 132_396_448],
    ['flowhn-fa-135m', 132_396_448],
    ['flowhn-fac-135m', 132_396_448],
    ['flowhn-chunks-135m', 132_396_448],
    ['flowhn-none-350m', 359_412_576],
    ['flowhn-fac-350m', 349_975_392],
    ['flowhn-none-1b', 1_169_529_792],
    ['flowhn-fac-code-1b', 1_144_363_968],
    ['llama-135m', 131_637_504],
    ['llama-350m', 357_092_352],
    ['llama-1b', 1_180_760_064],
    ['mamba1-135m', 134_608_896],
    ['mamba1-350m', 360_905_728],
    ['mamba1-1b', 1_167_456_256],
    ['shm-135m', 138_526_704],
    ['shm-350m', 352_966_592],
    ['shm-1b', 1_094_020_032],
    ['flowhn-none-nano', 971_728 + 2 * 257 * 128],
    ['flowhn-none-10m', 9_404_656 + 2 * 257 * 256],
  ])('%s has %i parameters', (preset, count) => {
    expect(parameterCount(preset)).toBe(count);
  });

  it('declares its inputs, and documents only when rows are packed', () => {
    const plain = build('llama-nano', {}, { batch: 2, length: 8 });
    expect(plain.graph.findSource('input', 'ids')).toMatchObject({ shape: [2, 8], dtype: 'int32' });
    expect(plain.graph.findSource('input', 'positions')).toMatchObject({ shape: [2, 8], dtype: 'int32' });
    expect(plain.graph.findSource('input', 'documents')).toBeUndefined();
    expect(plain.model.hidden).toMatchObject({ shape: [2, 8, 128], dtype: 'float32' });
    expect(plain.model.head.shape).toEqual([257, 128]);
    const packed = build('llama-nano', {}, { documents: true });
    expect(packed.graph.findSource('input', 'documents')?.dtype).toBe('int32');
  });

  it('uses the embedding as the head when they are tied', () => {
    const { graph, model } = build('llama-nano', { tiedHead: true });
    expect(model.head).toBe(graph.findSource('parameter', 'embedding.weight'));
    expect(model.parameters.some((parameter) => parameter.name === 'head.weight')).toBe(false);
  });

  it('starts projections into the residual stream smaller: deviation / sqrt(2 layers)', () => {
    const { model } = build('llama-nano', { initialDeviation: 0.1 });
    const initializer = (name: string) =>
      model.parameters.find((parameter) => parameter.name === name)?.initializer;
    expect(initializer('blocks.0.attention.query.weight')).toEqual({ kind: 'normal', deviation: 0.1 });
    expect(initializer('blocks.0.attention.output.weight')).toEqual({
      kind: 'normal',
      deviation: 0.1 / Math.sqrt(10),
    });
  });

  it('binds states to persistent tensors that it assigns', () => {
    const { graph, model } = build('shm-nano', {}, { length: 1, states: { capacity: 32 } });
    expect(model.states.length).toBeGreaterThan(0);
    for (const state of model.states) {
      const source = graph.findSource('state', state.name);
      expect(source, state.name).toBeDefined();
      expect([...graph.assignments.keys()], state.name).toContain(source);
    }
    expect(build('shm-nano').model.states).toEqual([]);
  });

  it('routes by the position of the first token', () => {
    const tokens = (start: number) =>
      build('flowhn-chunks-nano', {}, { length: 16, start }).model.blocks.map(({ branches }) =>
        branches.map((b) => b.tokens),
      );
    expect(tokens(0)).toEqual([
      [16, 0],
      [16, 0],
    ]);
    expect(tokens(32)).toEqual([
      [16, 0],
      [0, 16],
    ]);
  });

  it('refuses an impossible batch or length', () => {
    expect(() => build('llama-nano', {}, { length: 0 })).toThrow(
      /length must be a whole number of at least 1; given 0/,
    );
    expect(() => build('llama-nano', {}, { batch: 1.5 })).toThrow(/batch must be .* given 1\.5/);
  });
});
