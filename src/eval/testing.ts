/** Tiny models with seeded weights, for tests. */
import { byteTokenizer } from '../data/index.ts';
import { Graph } from '../graph/index.ts';
import { buildModel } from '../models/build.ts';
import { parseModelConfig } from '../models/config.ts';
import { initialize } from '../nn/index.ts';
import { createReferenceExecutor } from '../runtime/index.ts';
import type { EvaluatedModel } from './model.ts';

/** A model of bytes, on the reference executor. Its weights are large, so that its expectations differ. */
export function tinyModel(config: Readonly<Record<string, unknown>>, deviation = 0.3): EvaluatedModel {
  const model = parseModelConfig({ width: 8, vocabulary: 257, initialDeviation: deviation, ...config });
  const executor = createReferenceExecutor({ precision: 'float64' });
  const store = executor.createStore();
  for (const spec of buildModel(new Graph(), model, { batch: 1, length: 1, documents: false }).parameters) {
    const { data } = store.tensor(`parameter/${spec.name}`, 'float32', spec.shape);
    const values = new Float32Array(data.length);
    initialize(spec, 1, values);
    data.set(values);
  }
  return {
    model,
    precision: 'float64',
    threads: 1,
    executor,
    store,
    tokenizer: byteTokenizer,
    begin: 256,
    beginsContexts: true,
  };
}

export const tinyAttention = { pattern: 'attention+mlp*2', attention: { heads: 2 }, mlp: { width: 8 } };
export const tinyHybrid = {
  pattern: '(attention+mlp | mamba1+mlp)*2',
  attention: { heads: 2 },
  mamba1: {},
  mlp: { width: 8 },
};
