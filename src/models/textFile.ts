/** Files that are read whole, with one readable message for what is wrong with them. */
import { readFileSync } from 'node:fs';
import type { ErrorCode } from '../graph/errors.ts';
import { BraidError } from '../graph/index.ts';
import { fileError } from './atomicFile.ts';

/** UTF-8. A file that cannot be read is a `BraidError('file')`. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError('read', path, error);
  }
}

/** The value of a file's text; `message` says what it means that it is not JSON. */
export function parseJson(text: string, code: ErrorCode, message: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BraidError(code, `${message} (${(cause as Error).message})`, { cause });
  }
}
