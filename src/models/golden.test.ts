import { copyFile, mkdtemp, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { elementCount } from '../graph/index.ts';
import type { Executor } from '../runtime/index.ts';
import { createExecutor, inspectNative } from '../runtime/index.ts';
import { compareWithGolden } from './golden.ts';
import type { TensorToWrite } from './safetensors.ts';
import { SafetensorsFile, writeSafetensors } from './safetensors.ts';

const folder = fileURLToPath(new URL('../../test/fixtures/golden/flowhn/', import.meta.url));
const files = ['flowhn_no_split', 'flowhn_ae_split', 'flowhn_fa_split_code', 'flowhn_fac_split_code'];
const native = inspectNative();

function goldenFile(name: string): string {
  return join(folder, `${name}.safetensors`);
}

async function expectAgreement(name: string, executor: Executor): Promise<void> {
  const result = await compareWithGolden(goldenFile(name), executor);
  expect(result).toMatchObject({ passed: true, executor: executor.name });
  expect(result.logits).toBeLessThan(1e-5);
  expect(result.loss).toBeLessThan(1e-5);
  expect(result.gradient).toBeLessThan(1e-4);
}

describe('what the FlowHN authors computed', () => {
  it.each(files)('%s, reference', (name) => expectAgreement(name, createExecutor('reference')));

  it.skipIf(!native.available).each(files)('%s, native', (name) =>
    expectAgreement(name, createExecutor('native', { threads: 2 })),
  );

  it('names a file that is damaged', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'braid-golden-')), 'cut.safetensors');
    await copyFile(goldenFile('flowhn_no_split'), path);
    const handle = await open(path, 'r+');
    await handle.truncate(100_000);
    await handle.close();
    await expect(compareWithGolden(path, createExecutor('reference'))).rejects.toThrow(
      /cut\.safetensors' is not a complete/,
    );
  });

  it('sees a changed weight, and does not pass', async () => {
    const { path, tensors, metadata } = await loadAll('flowhn_ae_split');
    const { data } = tensors.find(({ name }) => name === 'weights.model.layers.1.mamba.mamba.D') ?? {};
    if (data instanceof Float32Array) data[0] = 2 * (data[0] ?? 0);
    await writeSafetensors(path, tensors, { metadata });
    const result = await compareWithGolden(path, createExecutor('reference'));
    expect(result.passed).toBe(false);
    expect(result.logits).toBeGreaterThan(1e-4);
  });

  it.each([
    ['mode', 'E', /has the mode 'E'/],
    ['hidden_size', 'wide', /no number 'hidden_size' in its metadata: wide/],
    ['intermediate_size', '40', /'weights\.model\.layers\.0\..*shape \[.*the configuration makes it/],
    ['num_attention_heads', '5', /attention\.heads: is 5, which does not divide/],
    ['hf_config', '{}', /'model_type' is missing/],
  ])('explains wrong metadata: %s = %s', async (key, value, message) => {
    const { path, tensors, metadata } = await loadAll('flowhn_ae_split');
    await writeSafetensors(path, tensors, { metadata: { ...metadata, [key]: value } });
    await expect(compareWithGolden(path, createExecutor('reference'))).rejects.toThrow(message);
  });
});

/** The content of a golden file, and a place for a changed copy of it. */
async function loadAll(name: string) {
  const path = join(await mkdtemp(join(tmpdir(), 'braid-golden-')), 'changed.safetensors');
  const file = await SafetensorsFile.open(goldenFile(name));
  const tensors: TensorToWrite[] = [];
  for (const { name, dtype, shape } of file.entries.values()) {
    const data =
      dtype === 'I64' ? new BigInt64Array(elementCount(shape)) : new Float32Array(elementCount(shape));
    await file.readInto(name, dtype, data);
    tensors.push({ name, dtype, shape, data });
  }
  await file.close();
  return { path, tensors, metadata: file.metadata };
}
