/** One process at a time in a folder: a file with the number of the process that is at work there. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BraidError } from '../graph/index.ts';
import { fileError } from './atomicFile.ts';

export interface FolderWork {
  /** Name of the file. */
  readonly file: string;
  /** What is at work, as a message calls it: `preparation`. */
  readonly name: string;
  /** What else can be done than to wait. */
  readonly advice: string;
}

/** What this process holds: its own number in another file is that of a process that has died. */
const held = new Set<string>();

/**
 * Takes the folder, making it if need be; the returned function gives it back. A folder that another process is at work in is
 * a `BraidError('usage')`; what a process that has died left behind is taken over.
 */
export function lockFolder(folder: string, { file, name, advice }: FolderWork): () => void {
  const path = resolve(join(folder, file));
  const take = (): void => writeFileSync(path, `${process.pid}\n`, { flag: 'wx' });
  try {
    mkdirSync(folder, { recursive: true });
    try {
      take();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const owner = Number(readFileSync(path, 'utf8'));
      if (owner === process.pid ? held.has(path) : isAtWork(owner)) {
        throw new BraidError(
          'usage',
          `Another ${name} (process ${owner}) is at work in '${folder}'. Wait for it, or ${advice}; if there is none, ` +
            `remove '${join(folder, file)}'.`,
        );
      }
      rmSync(path, { force: true });
      take();
    }
  } catch (error) {
    throw fileError('write', path, error);
  }
  held.add(path);
  return () => {
    held.delete(path);
    rmSync(path, { force: true });
  };
}

function isAtWork(owner: number): boolean {
  if (!Number.isInteger(owner) || owner <= 0) return false;
  try {
    process.kill(owner, 0);
    return true;
  } catch (error) {
    // A process of somebody else is one, too.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
