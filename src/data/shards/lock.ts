/** One preparation at a time in a folder: a file with the number of the process that is at work there. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BraidError } from '../../graph/index.ts';
import { fileError } from '../../models/atomicFile.ts';

const FILE = 'prepare.lock';

/**
 * Takes the folder, making it if need be; the returned function gives it back. A folder that another process is at work in is
 * a `BraidError('usage')`; what a process that has died left behind is taken over.
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, FILE);
  const take = (): void => writeFileSync(path, `${process.pid}\n`, { flag: 'wx' });
  try {
    mkdirSync(folder, { recursive: true });
    try {
      take();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const owner = Number(readFileSync(path, 'utf8'));
      if (isAtWork(owner)) {
        throw new BraidError(
          'usage',
          `Another preparation (process ${owner}) is at work in '${folder}'. Wait for it, or choose another folder; if there ` +
            `is none, remove '${path}'.`,
        );
      }
      rmSync(path, { force: true });
      take();
    }
  } catch (error) {
    throw fileError('write', path, error);
  }
  return () => rmSync(path, { force: true });
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
