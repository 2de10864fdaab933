/** What training will take, known from its programs before any of it is allocated. */
import { freemem } from 'node:os';
import { availableMemory } from 'node:process';
import type { Program } from '../compiler/index.ts';
import { storeKey } from '../compiler/index.ts';
import type { Role } from '../graph/index.ts';
import { BraidError } from '../graph/index.ts';

/** Bytes. */
export interface MemoryPlan {
  /** Parameters and their BF16 copies. */
  readonly weights: number;
  readonly optimizer: number;
  /** Persistent gradients: only with accumulation; otherwise they live in the arena. */
  readonly gradients: number;
  /** Carried states of generation. */
  readonly states: number;
  /** The arenas of all programs: activations, gradients, scratch memory. */
  readonly arena: number;
  readonly total: number;
}

/** Memory of programs that share one store. */
export function planMemory(programs: readonly Program[]): MemoryPlan {
  const persistent = new Map<string, { readonly role: string; readonly bytes: number }>();
  for (const buffer of programs.flatMap((program) => program.buffers)) {
    if (buffer.offset === undefined) persistent.set(storeKey(buffer), buffer);
  }
  const held = (...roles: Role[]): number =>
    [...persistent.values()].reduce(
      (sum, { role, bytes }) => sum + (roles.some((one) => one === role) ? bytes : 0),
      0,
    );
  const arena = programs.reduce((sum, program) => sum + program.arenaBytes, 0);
  const parts = {
    weights: held('parameter', 'shadow'),
    optimizer: held('optimizer'),
    gradients: held('gradient'),
    states: held('state'),
    arena,
  };
  return { ...parts, total: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) };
}

/** Refuses a plan that does not fit into what is free. `advice` says what can be made smaller. */
export function checkMemory(plan: MemoryPlan, advice: string, free: number = freeMemory()): void {
  if (plan.total <= free) return;
  const { weights, optimizer, gradients, states, arena } = plan;
  const parts = Object.entries({ weights, optimizer, gradients, states, 'activations and scratch': arena })
    .filter(([, bytes]) => bytes > 0)
    .map(([name, bytes]) => `${name} ${gigabytes(bytes)}`)
    .join(', ');
  throw new BraidError(
    'memory',
    `This needs ${gigabytes(plan.total)} of memory (${parts}), and ${gigabytes(free)} are free. ${advice}`,
  );
}

/** Free for this process, limits of containers included. */
export function freeMemory(): number {
  return Math.min(availableMemory(), freemem());
}

function gigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
