/** The native addon as it is: loaded once, with a reason when it cannot be. What it offers is declared in native/addon. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DType, Shape } from '../graph/index.ts';
import { BraidError } from '../graph/index.ts';
import type { RunStatistics } from './executor.ts';
import { changedSince } from './staleness.ts';

export interface AddonStore {
  /** Makes the tensor where needed. Every call makes another ArrayBuffer of the same memory. */
  tensor(key: string, dtype: DType, shape: Shape): ArrayBuffer;
  remove(key: string): void;
  clear(): void;
  bytes(): number;
}

interface AddonRun {
  readonly profile: boolean;
  readonly check: boolean;
}

export type AddonResult = RunStatistics & { readonly nonFinite?: number };

export interface AddonProgram {
  view(buffer: number): ArrayBuffer;
  run(options: AddonRun): Promise<AddonResult>;
  /** Runs on the calling thread. */
  runHere(options: AddonRun): AddonResult;
  dispose(): void;
}

export interface AddonEngine {
  readonly isa: string;
  load(json: string, store: AddonStore, options: { poison: boolean; guard: boolean }): AddonProgram;
}

export interface Addon {
  readonly Store: new () => AddonStore;
  readonly Engine: new (threads: number, isa: string) => AddonEngine;
  inspect(): {
    readonly variants: readonly { readonly name: string; readonly supported: boolean }[];
    readonly compiler: string;
  };
  detach(buffer: ArrayBuffer): void;
}

export type AddonFound = { readonly addon: Addon } | { readonly reason: string };

// Both src/runtime and dist/runtime are two folders below the root of the package.
const file = fileURLToPath(new URL('../../build/braid.node', import.meta.url));
const sources = fileURLToPath(new URL('../../native', import.meta.url));
let found: AddonFound | undefined;

export function findAddon(): AddonFound {
  found ??= loadAddon();
  return found;
}

/** The addon, or an error that says why there is none and what to do. */
export function requireAddon(): Addon {
  const result = findAddon();
  if ('addon' in result) return result.addon;
  throw new BraidError(
    'native',
    `The native executor is not available: ${result.reason} ` +
      'The plain one runs without it, slowly: --executor reference.',
  );
}

function loadAddon(): AddonFound {
  if (!existsSync(file)) {
    return { reason: `${file} is missing. Build it with: npx braid doctor --build` };
  }
  const changed = ['core', 'kernels', 'addon'].flatMap((part) => {
    const path = changedSince(file, join(sources, part));
    return path === undefined ? [] : [join('native', part, path)];
  });
  if (changed.length > 0) {
    const reason = `${file} is older than ${changed[0]} and may be of other sources.`;
    return { reason: `${reason} Build it again: npx braid doctor --build` };
  }
  try {
    return { addon: createRequire(import.meta.url)(file) as Addon };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      reason: `${file} cannot be loaded (${message}). Remove it and build it again: npx braid doctor --build`,
    };
  }
}

/** Runs `call`, and gives what the addon throws the shape of a `BraidError`. */
export function fromAddon<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw asBraidError(error);
  }
}

export function asBraidError(error: unknown): BraidError {
  if (error instanceof BraidError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const isMemory = error instanceof Error && 'code' in error && error.code === 'memory';
  return new BraidError(isMemory ? 'memory' : 'native', message, { cause: error });
}
