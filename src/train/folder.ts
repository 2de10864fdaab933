import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileError } from '../models/atomicFile.ts';

/**
 * Makes a folder and those above it. Not `mkdir` with `recursive`: where the system answers "no such folder" although the
 * parent is there (/proc does), that one never returns.
 */
export function makeFolder(path: string): void {
  const parent = dirname(path);
  if (!existsSync(parent)) makeFolder(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError('write', path, error);
  }
}
