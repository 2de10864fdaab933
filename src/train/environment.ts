/** On what a run is computed: what somebody needs to know who reads its figures later. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import type { Executor } from '../runtime/executor.ts';

export interface Environment {
  readonly braid: string;
  readonly node: string;
  readonly system: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly executor: string;
  /** Instruction set that the kernels use, where the executor has kernels. */
  readonly isa?: string;
  readonly threads: number;
  readonly precision: string;
  /** Revision of the working folder, with `+` when it has changes; absent outside a repository. */
  readonly git?: string;
  readonly startedAt: string;
}

export function describeEnvironment(executor: Executor, precision: string, isa?: string): Environment {
  const git = gitRevision();
  return {
    braid: packageVersion(),
    node: process.version,
    system: `${platform()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    executor: executor.name,
    ...(isa === undefined ? {} : { isa }),
    threads: executor.threads,
    precision,
    ...(git === undefined ? {} : { git }),
    startedAt: new Date().toISOString(),
  };
}

/** The same two folders up from the source and from the built file. */
function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function gitRevision(): string | undefined {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return (
      git('rev-parse', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+')
    );
  } catch {
    return undefined;
  }
}
