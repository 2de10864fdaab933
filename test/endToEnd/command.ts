/** The built command as a process, for tests in which something happens to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
export const isBuilt = existsSync(main);
export const hasAddon = existsSync(new URL('../../build/braid.node', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly errors: string;
}

export interface Started {
  readonly child: ChildProcess;
  /** What stands on standard error so far. */
  readonly errors: () => string;
  readonly ended: Promise<Ended>;
}

export interface StartOptions {
  readonly cwd?: string;
  /** No file may grow beyond so many kilobytes. */
  readonly fileLimit?: number;
}

/** Starts `braid` with these arguments. */
export function startBraid(args: readonly string[], { cwd, fileLimit }: StartOptions = {}): Started {
  const whole = [process.execPath, main, ...args];
  const limited = ['bash', '-c', `ulimit -f ${fileLimit}; exec "$@"`, 'braid', ...whole];
  const [program = '', ...rest] = fileLimit === undefined ? whole : limited;
  const child = spawn(program, rest, { ...(cwd === undefined ? {} : { cwd }) });
  let output = '';
  let errors = '';
  child.stdout?.on('data', (data) => {
    output += data;
  });
  child.stderr?.on('data', (data) => {
    errors += data;
  });
  const ended = new Promise<Ended>((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal, output, errors })),
  );
  return { child, errors: () => errors, ended };
}

/** Waits for something that another process does. */
export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 6000) throw new Error('Nothing happened for a minute.');
    await wait(10);
  }
}
