import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileSystem, WritableFile } from '../models/atomicFile.ts';
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

  it('begin with weights from elsewhere: the moments are zero then', async () => {
    const checkpoints = new CheckpointFolder(folder);
    const { parameters } = tensors(0);
    await checkpoints.save(progress(0), { parameters }, 2);
    const target = tensors(-1);
    expect((await checkpoints.load(target, () => undefined))?.step).toBe(0);
    expect(target.parameters).toEqual(parameters);
    expect(target.optimizer.map(({ data }) => [...data])).toEqual([
      [0, 0, 0],
      [0, 0],
    ]);
    await checkpoints.save(progress(1), tensors(1), 2);
    expect((await loaded(checkpoints)).step).toBe(1);
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

  it('survive the death of the process inside any stage of a save', async () => {
    const found = new Set<number | undefined>();
    for (let budget = 0; ; budget++) {
      rmSync(folder, { recursive: true });
      await new CheckpointFolder(folder).save(progress(1), tensors(1), 1);
      const end = await new Promise<'died' | 'saved'>((resolve, reject) => {
        const checkpoints = new CheckpointFolder(
          folder,
          dyingAfter(budget, () => resolve('died')),
        );
        checkpoints.save(progress(2), tensors(2), 1).then(() => resolve('saved'), reject);
      });
      // A new process finds a whole checkpoint, without a word about the torn one, and can save over it.
      const next = new CheckpointFolder(folder);
      const { step, warnings } = await loaded(next);
      expect(warnings).toEqual([]);
      found.add(step);
      await next.save(progress(2), tensors(2), 1);
      expect(await loaded(new CheckpointFolder(folder))).toEqual({ step: 2, warnings: [] });
      expect(readdirSync(folder)).toEqual(['step-00000002']);
      if (end === 'saved') break;
    }
    expect(found).toEqual(new Set([1, 2]));
  });

  it('survive the death of the process while an old one is removed', async () => {
    const checkpoints = new CheckpointFolder(folder);
    for (const step of [1, 2]) await checkpoints.save(progress(step), tensors(step), 2);
    rmSync(fileOf(1, 'state.json'));
    rmSync(fileOf(1, 'optimizer.safetensors'));
    expect(checkpoints.list().map(({ step }) => step)).toEqual([2]);
    await checkpoints.save(progress(3), tensors(3), 2);
    expect(readdirSync(folder)).toEqual(['step-00000002', 'step-00000003']);
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
  return limited(budget, () => Promise.reject(Object.assign(new Error(code), { code })));
}

/** A file system on which the process dies after `budget` calls: the next one does half its work and never returns. */
function dyingAfter(budget: number, died: () => void): FileSystem {
  return limited(budget, (half) => {
    half?.();
    died();
    return new Promise(() => undefined);
  });
}

/** What a dead process has open, its system closes. */
const opened: WritableFile[] = [];
afterEach(async () => {
  for (const file of opened.splice(0)) await file.close();
});

function limited(budget: number, end: (half?: () => unknown) => Promise<never>): FileSystem {
  let left = budget;
  const spend = async (half?: () => unknown): Promise<void> => {
    if (left-- <= 0) await end(half);
  };
  return {
    ...nodeFileSystem,
    openForWriting: async (path) => {
      await spend(() => writeFileSync(path, ''));
      const file = await nodeFileSystem.openForWriting(path);
      opened.push(file);
      return {
        write: async (bytes) => {
          await spend(() => appendFileSync(path, bytes.subarray(0, bytes.length / 2)));
          await file.write(bytes);
        },
        sync: async () => {
          await spend();
          await file.sync();
        },
        close: () => file.close(),
      };
    },
    rename: async (from, to) => {
      await spend();
      await nodeFileSystem.rename(from, to);
    },
    syncFolder: async (path) => {
      await spend();
      await nodeFileSystem.syncFolder(path);
    },
  };
}
