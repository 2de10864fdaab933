import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The first source below `folder` that was changed after `built`, as a path from there; undefined where none was, or there
 * are no sources. What an addon of other sources computes may be wrong without anybody noticing.
 */
export function changedSince(built: string, folder: string): string | undefined {
  const { mtimeMs } = statSync(built);
  for (const entry of entriesOf(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      const inside = changedSince(built, path);
      if (inside !== undefined) return join(entry.name, inside);
    } else if (/\.[ch]pp$/.test(entry.name) && statSync(path).mtimeMs > mtimeMs) {
      return entry.name;
    }
  }
  return undefined;
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}
