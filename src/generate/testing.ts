/** Models for the tests of this folder. */
import type { ModelConfig } from '../models/config.ts';
import { parseModelConfig } from '../models/config.ts';
import { findPreset } from '../models/presets/index.ts';
import { initialize } from '../nn/index.ts';
import { createReferenceExecutor } from '../runtime/index.ts';
import { pieceProgram } from './program.ts';
import type { GeneratingModel } from './session.ts';

/** A preset's architecture at a size that the reference executor runs in no time. */
export function tiny(preset: string): ModelConfig {
  const { config } = findPreset(`${preset}-nano`);
  const pattern = String(config.pattern).replace(/\*\d+$/, '*2');
  const { attention, mamba1, routing } = config as Record<string, Readonly<Record<string, unknown>>>;
  return parseModelConfig({
    ...config,
    pattern,
    width: 8,
    vocabulary: 257,
    ...(attention ? { attention: { ...attention, heads: 2, kvHeads: 1 } } : {}),
    ...(mamba1 ? { mamba1: { ...mamba1, state: 2 } } : {}),
    ...(config.mlp ? { mlp: { width: 12 } } : {}),
    ...(routing ? { routing: { ...routing, ...(routing.chunk ? { chunk: 4 } : {}) } } : {}),
  });
}

/** Large weights, so that every token matters to the logits. */
export function modelOf(preset: string): GeneratingModel {
  const model = tiny(preset);
  const executor = createReferenceExecutor({ precision: 'float64' });
  const store = executor.createStore();
  const { parameters } = pieceProgram(model, { length: 8, start: 0, precision: 'float64', threads: 1 });
  for (const spec of parameters) {
    const values = new Float32Array(spec.shape.reduce((a, b) => a * b, 1));
    initialize(spec, 1, values);
    const factor = spec.initializer.kind === 'normal' ? 15 : 1;
    store
      .tensor(`parameter/${spec.name}`, 'float32', spec.shape)
      .data.set(values.map((value) => value * factor));
  }
  return { model, precision: 'float64', threads: 1, executor, store };
}
