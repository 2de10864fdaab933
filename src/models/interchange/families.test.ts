import { describe, expect, it } from 'vitest';
import { createExecutor, inspectNative } from '../../runtime/index.ts';
import { compareWithGolden } from '../golden.ts';
import { goldenFile, goldenFiles } from './testing.ts';

const native = inspectNative();
const files = goldenFiles();

/** What the reference implementations of the families computed, in float64; see tools/golden. */
describe('what the reference implementation of each family computed', () => {
  it.each(files)('%s, reference', async (file) => {
    const result = await compareWithGolden(goldenFile(file), createExecutor('reference'));
    expect(result).toMatchObject({ passed: true });
    expect(result.logits).toBeLessThan(2e-5);
    expect(result.loss).toBeLessThan(1e-5);
    expect(result.gradient).toBeLessThan(2e-4);
  });

  it.each(files)('%s, reference in float64', async (file) => {
    const result = await compareWithGolden(
      goldenFile(file),
      createExecutor('reference', { precision: 'float64' }),
    );
    expect(result).toMatchObject({ passed: true });
    // Golden values are stored as float32.
    expect(result.logits).toBeLessThan(1e-6);
    expect(result.loss).toBeLessThan(1e-6);
    expect(result.gradient).toBeLessThan(1e-6);
  });

  it.skipIf(!native.available).each(files)('%s, native', async (file) => {
    const result = await compareWithGolden(goldenFile(file), createExecutor('native', { threads: 2 }));
    expect(result).toMatchObject({ passed: true });
    expect(result.logits).toBeLessThan(2e-5);
    expect(result.gradient).toBeLessThan(2e-4);
  });
});
