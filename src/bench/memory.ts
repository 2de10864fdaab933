/** Largest resident memory of this process, counted from a moment of our choice where the system allows it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Starts counting anew (Linux). Returns false where that is not possible. */
export function resetPeakMemory(): boolean {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
    return true;
  } catch {
    return false;
  }
}

/** The largest resident set since the last reset, in bytes; null where the system does not tell. */
export function peakMemory(): number | null {
  try {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    return line ? Number(line[1]) * 1024 : null;
  } catch {
    return null;
  }
}

/**
 * Gives back what was disposed of: native memory goes when the views of it are collected and their finalizers have run, a
 * turn of the event loop later. Node gives the collector to whoever sets its flag.
 */
export async function releaseMemory(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect();
  await setImmediate();
}
