import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileSystem } from '../models/atomicFile.ts';
import { nodeFileSystem } from '../models/atomicFile.ts';
import type { Persistent, Progress } from './checkpoint.ts';
import { CheckpointFolder } from './checkpoint.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-checkpoint-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Tensors whose values tell the step. */
function tensors(step: number): Persistent {
  const make = (key: string, size: number) => ({
    key,
    dtype: 'float32' as const,
    shape: [size],
    data: new Float32Array(size).fill(step + size / 8),
  });
  return {
    parameters: [make('parameter/a', 3), make('parameter/b', 2)],
    optimizer: [make('optimizer/a.m', 3), make('optimizer/b.m', 2)],
  };
}

function progress(step: number): Progress {
  return { step, tokens: step * 8, seconds: 1, loader: { seed: 1, epoch: 0, index: step }, text: 'x' };
}

async function loaded(
  checkpoints: CheckpointFolder,
): Promise<{ step: number | undefined; warnings: string[] }> {
  const target = tensors(-1);
  const warnings: string[] = [];
  const checkpoint = await checkpoints.load(target, (message) => warnings.push(message));
  if (checkpoint) expect(target).toEqual(tensors(checkpoint.step));
  return { step: checkpoint?.step, warnings };
}

const fileOf = (step: number, name: string): string => join(folder, `step-0000000${step}`, name);

describe('checkpoints', () => {
  it('keep everything, the newest first, and as many as asked', async () => {
    const checkpoints = new CheckpointFolder(folder);
    expect(await loaded(checkpoints)).toEqual({ step: undefined, warnings: [] });
    for (const step of [1, 2, 3]) await checkpoints.save(progress(step), tensors(step), 2);
    expect(checkpoints.list().map((checkpoint) => checkpoint.step)).toEqual([3, 2]);
    expect(checkpoints.list()[0]?.progress).toEqual(progress(3));
    expect(readdirSync(folder)).toHaveLength(2);
    expect((await loaded(checkpoints)).step).toBe(3);
  });

  it('make their folder, and refuse a place where it cannot be made', async () => {
    await new CheckpointFolder(join(folder, 'new')).save(progress(1), tensors(1), 2);
    writeFileSync(join(folder, 'file'), '');
    await expect(new CheckpointFolder(join(folder, 'file')).save(progress(1), tensors(1), 2)).rejects.toThrow(
      /Cannot write .*not a folder/,
    );
  });

  it('fall back to the one before when the newest is damaged, say so, and replace it later', async () => {
    const checkpoints = new CheckpointFolder(folder);
    for (const step of [1, 2]) await checkpoints.save(progress(step), tensors(step), 2);
    truncateSync(fileOf(2, 'optimizer.safetensors'), 40);
    const { step, warnings } = await loaded(checkpoints);
    expect(step).toBe(1);
    expect(warnings.join()).toMatch(/step 2 cannot be used.*Going on from step 1/);
    await checkpoints.save(progress(2), tensors(2), 2);
    expect((await loaded(checkpoints)).step).toBe(2);
  });

  it('notice damage that keeps the size', async () => {
    const checkpoints = new CheckpointFolder(folder);
    for (const step of [1, 2]) await checkpoints.save(progress(step), tensors(step), 2);
    const path = fileOf(2, 'parameters.safetensors');
    writeFileSync(path, Buffer.alloc(readFileSync(path).length, 1));
    expect((await loaded(checkpoints)).step).toBe(1);
    // Nobody keeps a checkpoint that could not be loaded.
    await checkpoints.save(progress(2), tensors(2), 2);
    expect((await loaded(checkpoints)).step).toBe(2);
  });

  it('stop with all reasons when none can be used', async () => {
    const checkpoints = new CheckpointFolder(folder);
    for (const step of [1, 2]) await checkpoints.save(progress(step), tensors(step), 2);
    for (const step of [1, 2]) truncateSync(fileOf(step, 'state.json'), 9);
    const target = tensors(-1);
    await expect(checkpoints.load(target, () => undefined)).rejects.toThrow(
      /No checkpoint .*\n.*step 2.*\n.*step 1/,
    );
    expect(target).toEqual(tensors(-1));
  });

  it('of another model are refused before anything is overwritten', async () => {
    const checkpoints = new CheckpointFolder(folder);
    await checkpoints.save(progress(1), tensors(1), 2);
    const target = tensors(-1);
    const [first] = target.parameters;
    const fewer = { ...target, parameters: first ? [first] : [] };
    await expect(checkpoints.load(fewer, () => undefined)).rejects.toThrow(/another model: it holds 'b'/);
    const other = { ...target, optimizer: target.parameters };
    await expect(checkpoints.load(other, () => undefined)).rejects.toThrow(/another model/);
    expect(target).toEqual(tensors(-1));
  });

  it('survive a full disk at any write: the older one stays, nothing of the new one remains', async () => {
    await new CheckpointFolder(folder).save(progress(1), tensors(1), 2);
    let failures = 0;
    for (let budget = 0; ; budget++) {
      const checkpoints = new CheckpointFolder(folder, failingAfter(budget, 'ENOSPC'));
      const error: unknown = await checkpoints
        .save(progress(2), tensors(2), 2)
        .catch((caught: unknown) => caught);
      if (!(error instanceof Error)) break;
      failures++;
      expect(error.message).toMatch(/the disk is full/);
      expect(readdirSync(folder)).toEqual(['step-00000001']);
      expect((await loaded(new CheckpointFolder(folder))).step).toBe(1);
    }
    expect(failures).toBeGreaterThan(10);
    expect((await loaded(new CheckpointFolder(folder))).step).toBe(2);
  });
});

/** A file system whose calls work `budget` times and then fail. */
function failingAfter(budget: number, code: string): FileSystem {
  let left = budget;
  const spend = (): void => {
    if (left-- <= 0) throw Object.assign(new Error(code), { code });
  };
  return {
    ...nodeFileSystem,
    openForWriting: async (path) => {
      spend();
      const file = await nodeFileSystem.openForWriting(path);
      return {
        write: async (bytes) => {
          spend();
          await file.write(bytes);
        },
        sync: async () => {
          spend();
          await file.sync();
        },
        close: () => file.close(),
      };
    },
    rename: async (from, to) => {
      spend();
      await nodeFileSystem.rename(from, to);
    },
    syncFolder: async (path) => {
      spend();
      await nodeFileSystem.syncFolder(path);
    },
  };
}
