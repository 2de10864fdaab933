import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createExecutor, inspectNative } from '../../runtime/index.ts';
import { compareWithGolden } from '../golden.ts';
import { families } from './registry.ts';

const folder = fileURLToPath(new URL('../../../test/fixtures/golden/', import.meta.url));
const native = inspectNative();

/** What the reference implementations of the families computed, in float64; see tools/golden. */
const files = families
  .flatMap(({ name }) => readdirSync(`${folder}${name}`).map((file) => `${name}/${file}`))
  .filter((file) => !/llama|moe|mamba2|falcon|nemotron/.test(file));

describe('what the reference implementation of each family computed', () => {
  it.each(files)('%s, reference', async (file) => {
    const result = await compareWithGolden(`${folder}${file}`, createExecutor('reference'));
    expect(result).toMatchObject({ passed: true });
    expect(result.logits).toBeLessThan(2e-5);
    expect(result.loss).toBeLessThan(1e-5);
    expect(result.gradient).toBeLessThan(2e-4);
  });

  it.each(files)('%s, reference in float64', async (file) => {
    const result = await compareWithGolden(
      `${folder}${file}`,
      createExecutor('reference', { precision: 'float64' }),
    );
    expect(result).toMatchObject({ passed: true });
    // Golden values are stored as float32.
    expect(result.logits).toBeLessThan(1e-6);
    expect(result.loss).toBeLessThan(1e-6);
    expect(result.gradient).toBeLessThan(1e-6);
  });

  it.skipIf(!native.available).each(files)('%s, native', async (file) => {
    const result = await compareWithGolden(`${folder}${file}`, createExecutor('native', { threads: 2 }));
    expect(result).toMatchObject({ passed: true });
    expect(result.logits).toBeLessThan(2e-5);
    expect(result.gradient).toBeLessThan(2e-4);
  });
});
