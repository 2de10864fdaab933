import { describe, expect, it } from 'vitest';
import type { ModelConfig } from '../models/config.ts';
import { parseModelConfig } from '../models/config.ts';
import { initialize } from '../nn/index.ts';
import { createReferenceExecutor } from '../runtime/index.ts';
import { pieceProgram } from './program.ts';
import type { GeneratingModel, Logits } from './session.ts';
import { createSession } from './session.ts';
import type { WeightFormat } from './weightFormat.ts';
import { weightFormats } from './weightFormat.ts';
import { roundWeights } from './weights.ts';

const model: ModelConfig = parseModelConfig({
  pattern: 'attention+mlp mamba1',
  width: 32,
  vocabulary: 40,
  attention: { heads: 2 },
  mamba1: { state: 2 },
  mlp: { width: 64 },
});
const options = { length: 8, start: 0, precision: 'float64', threads: 1 } as const;
const tokens = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5];

function setup(weights?: WeightFormat): GeneratingModel {
  const executor = createReferenceExecutor({ precision: 'float64' });
  const store = executor.createStore();
  for (const spec of pieceProgram(model, options).parameters) {
    const values = new Float32Array(spec.shape.reduce((a, b) => a * b, 1));
    initialize(spec, 1, values);
    store.tensor(`parameter/${spec.name}`, 'float32', spec.shape).data.set(values);
  }
  return { model, precision: 'float64', threads: 1, executor, store, ...(weights ? { weights } : {}) };
}

async function logitsOf(home: GeneratingModel): Promise<Logits> {
  const session = createSession(home);
  const logits = (await session.feed(tokens)).slice();
  session.dispose();
  return logits;
}

function difference(a: Logits, b: Logits): number {
  return Math.max(...a.map((value, index) => Math.abs(value - b[index])));
}

describe.each(weightFormats)('weights of %s', (format) => {
  it('generate what the rounded parameters generate', async () => {
    const rounded = setup();
    await roundWeights(rounded, format, 8);
    const expected = await logitsOf(rounded);
    const found = await logitsOf(setup(format));
    expect(difference(found, expected)).toBeLessThan(1e-9);
    expect(difference(found, await logitsOf(setup()))).toBeGreaterThan(format === 'int8' ? 1e-5 : 1e-4);
  });

  it('are read instead of the parameters', () => {
    const { program, quantized } = pieceProgram(model, { ...options, weights: format });
    const whole = program.buffers.filter(({ role }) => role === 'parameter').map(({ name }) => name);
    const read = quantized.map(({ name }) => name);
    expect(read).toContain('head.weight');
    expect(read.filter((name) => whole.includes(name))).toEqual([]);
  });
});
