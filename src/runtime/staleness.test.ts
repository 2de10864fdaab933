import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { changedSince } from './staleness.ts';

const folder = mkdtempSync(join(tmpdir(), 'braid-staleness-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, time: number): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, '');
  utimesSync(path, time, time);
  return path;
}

describe('an addon', () => {
  const addon = write('build/braid.node', 1000);

  it('is of the sources that are there', () => {
    write('native/core/pool.cpp', 900);
    write('native/kernels/gemm.hpp', 1000);
    write('native/notes.md', 2000);
    expect(changedSince(addon, join(folder, 'native'))).toBeUndefined();
    expect(changedSince(addon, join(folder, 'nowhere'))).toBeUndefined();
  });

  it('is of others where one was changed later', () => {
    write('native/kernels/gemm.hpp', 1001);
    expect(changedSince(addon, join(folder, 'native'))).toBe(join('kernels', 'gemm.hpp'));
  });
});
