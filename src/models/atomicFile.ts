/**
 * Files that are either complete or absent: written under a temporary name, synced, renamed, and the folder synced too.
 * Whatever stood under the name before stays untouched until the rename.
 */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BraidError } from '../graph/index.ts';

/** What is asked of a file system; tests put one in between that fails at a chosen moment. */
export interface FileSystem {
  openForWriting(path: string): Promise<WritableFile>;
  rename(from: string, to: string): Promise<void>;
  /** Makes names that were created or renamed in a folder survive a power cut. */
  syncFolder(path: string): Promise<void>;
  remove(path: string): Promise<void>;
}

export interface WritableFile {
  /** Appends all bytes. */
  write(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** One call of the operating system takes at most this much, so that a signal is served between two of them. */
const writeBytes = 64 * 1024 * 1024;

export const nodeFileSystem: FileSystem = {
  async openForWriting(path) {
    const handle = await open(path, 'w');
    return {
      async write(bytes) {
        let done = 0;
        while (done < bytes.byteLength) {
          const length = Math.min(writeBytes, bytes.byteLength - done);
          const { bytesWritten } = await handle.write(bytes, done, length);
          done += bytesWritten;
        }
      },
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  rename,
  async syncFolder(path) {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  remove: (path) => rm(path, { force: true }),
};

/** The name a file has while it is written. Fixed, so that what a killed process left is overwritten by the next. */
export function partialName(path: string): string {
  return `${path}.partial`;
}

/**
 * Writes a file atomically. Throws `BraidError('file')` with the path and the reason when the disk is full, the folder
 * cannot be written or anything else goes wrong; the temporary file is removed then.
 */
export async function writeFileAtomically(
  path: string,
  write: (file: Pick<WritableFile, 'write'>) => Promise<void>,
  files: FileSystem = nodeFileSystem,
): Promise<void> {
  const partial = partialName(path);
  try {
    const file = await files.openForWriting(partial);
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(partial, path);
    await files.syncFolder(dirname(path));
  } catch (error) {
    // The first error is the one that matters: what goes wrong while tidying up must not hide it.
    await files.remove(partial).catch(() => undefined);
    throw fileError('write', path, error);
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full. Free some space or choose another folder',
  EDQUOT: 'the disk quota is used up. Free some space or choose another folder',
  EFBIG:
    'the file would be larger than the file-size limit allows. Raise the limit (ulimit -f) or choose another folder',
  EACCES: 'permission is denied. Choose a folder that you may write, or change its permissions',
  EPERM: 'permission is denied. Choose a folder that you may write, or change its permissions',
  EROFS: 'the file system is read-only. Choose another folder',
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EISDIR: 'this is a folder, not a file',
  EMFILE: 'too many files are open. Raise the limit (ulimit -n)',
  EIO: 'the device reports an input/output error',
};

/** A failed file operation as one readable message; errors that already are one pass unchanged. */
export function fileError(action: 'read' | 'write', path: string, error: unknown): BraidError {
  if (error instanceof BraidError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = reasons[code] ?? (error instanceof Error ? error.message : String(error));
  return new BraidError('file', `Cannot ${action} '${path}': ${reason}.`, { cause: error });
}
