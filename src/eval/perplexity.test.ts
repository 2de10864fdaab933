import { describe, expect, it } from 'vitest';
import { byteTokenizer, packDocuments } from '../data/index.ts';
import { parseModelConfig } from '../models/config.ts';
import { initialize } from '../nn/index.ts';
import type { Store } from '../runtime/index.ts';
import { createReferenceExecutor } from '../runtime/index.ts';
import { evaluationProgram } from '../train/index.ts';
import { PerplexityMeter } from './perplexity.ts';

const model = parseModelConfig({
  pattern: 'attention+mlp',
  width: 8,
  vocabulary: 257,
  attention: { heads: 2 },
  mlp: { width: 8 },
});
const config = { batch: 2, length: 8, lossChunk: 16, precision: 'float32', threads: 1 } as const;
const stream = packDocuments(
  ['hello', 'a somewhat longer text', 'end'].map((text) => Buffer.from(text)),
  byteTokenizer,
);

function meterWith(fill: (store: Store) => void, batch = 2): PerplexityMeter {
  const executor = createReferenceExecutor();
  const store = executor.createStore();
  const { parameters } = evaluationProgram(model, config);
  for (const spec of parameters) {
    const { data } = store.tensor(`parameter/${spec.name}`, 'float32', spec.shape);
    if (data instanceof Float32Array) initialize(spec, 1, data);
  }
  fill(store);
  return new PerplexityMeter(model, { ...config, batch }, byteTokenizer, executor, store);
}

describe('bits per byte', () => {
  it('of a model that knows nothing are those of guessing, ends of documents included', async () => {
    const meter = meterWith((store) => store.find('parameter/head.weight')?.data.fill(0));
    const found = await meter.measure(stream);
    expect(found.bytes).toBe(30);
    expect(found.targets).toBe(33);
    expect(found.loss).toBeCloseTo(Math.log(257), 5);
    expect(found.perplexity).toBeCloseTo(257, 2);
    expect(found.bitsPerByte).toBeCloseTo((33 * Math.log2(257)) / 30, 5);
  });

  it('do not depend on the batch', async () => {
    const two = await meterWith(() => undefined).measure(stream);
    const three = await meterWith(() => undefined, 3).measure(stream);
    expect(three.loss).toBeCloseTo(two.loss, 6);
    expect(three.targets).toBe(two.targets);
  });

  it('of the first rows count only their bytes', async () => {
    const shown: number[] = [];
    const meter = meterWith((store) => store.find('parameter/head.weight')?.data.fill(0));
    const found = await meter.measure(stream, { rows: 1, onProgress: (done) => shown.push(done) });
    expect(found.targets).toBe(8);
    expect(found.bytes).toBe(7);
    expect(shown).toEqual([1]);
  });

  it('stop when told', async () => {
    const controller = new AbortController();
    controller.abort();
    await expect(meterWith(() => undefined).measure(stream, { signal: controller.signal })).rejects.toThrow();
  });
});
