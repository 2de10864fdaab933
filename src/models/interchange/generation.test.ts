import { describe, expect, it } from 'vitest';
import { createSession } from '../../generate/index.ts';
import { createReferenceExecutor } from '../../runtime/index.ts';
import { SafetensorsFile } from '../safetensors.ts';
import { parseFields } from './fields.ts';
import { understand } from './foreignModel.ts';
import { readTensors } from './importFolder.ts';
import { TensorSource } from './tensorSource.ts';
import { goldenFile, goldenFiles } from './testing.ts';

/** Tokens fed before the others come one by one: a piece of eight and single ones. */
const prompt = 10;

describe('models of all families, fed a prompt and then token by token', () => {
  it.each(goldenFiles())('%s gives the logits of its reference', async (name) => {
    const file = await SafetensorsFile.open(goldenFile(name));
    const executor = createReferenceExecutor();
    const store = executor.createStore();
    const { config, parameters, tensors } = understand(parseFields(file.path, file.metadata.hf_config ?? ''));
    for (const { name, shape } of parameters) store.tensor(`parameter/${name}`, 'float32', shape);
    await readTensors(TensorSource.within(file, 'weights.'), tensors, (name) => {
      const data = store.find(`parameter/${name}`)?.data;
      if (data instanceof Float32Array) return data;
      throw new Error(`no parameter ${name}`);
    });
    const [, length = 0, vocabulary = 0] = file.entry('logits').shape;
    const ids = (await file.readInt32('input_ids')).slice(0, length);
    const expected = await file.readFloat32('logits');
    await file.close();

    const session = createSession({ model: config, precision: 'float32', threads: 1, executor, store });
    for (let end = prompt; end <= length; end++) {
      const logits = await session.feed(ids.slice(end === prompt ? 0 : end - 1, end));
      const wanted = expected.slice((end - 1) * vocabulary, end * vocabulary);
      const scale = Math.max(...wanted.map(Math.abs));
      const error = Math.max(...wanted.map((value, index) => Math.abs(value - logits[index]))) / scale;
      expect(error).toBeLessThan(5e-5);
    }
    session.dispose();
    store.dispose();
  });
});
