/**
 * Measuring several things fairly on a machine that is not equally fast all the time: everything is measured a little in
 * every round, in turn, with probes around the samples.
 */
import type { Executor } from '../runtime/index.ts';
import { type Effort, type Machine, measureMachine, raiseCeilings } from './machine.ts';
import type { OneDnn } from './onednn.ts';
import { Probes } from './probes.ts';

export interface Rounds {
  readonly rounds: number;
  /** Whose peaks are measured. */
  readonly executor: Executor;
  readonly effort?: Effort | undefined;
  /** Whose products count for the peak too. */
  readonly peer?: OneDnn | undefined;
}

/** What is measured in one turn; it takes its samples between probes. */
export type Visit<T> = (round: number, probes: Probes) => Promise<T>;

/** Runs every visit once per round; the results come in rounds, in the order of the visits. */
export async function inRounds<T>(
  { rounds, executor, effort, peer }: Rounds,
  visits: readonly Visit<T>[],
): Promise<{ machine: Machine; results: readonly (readonly T[])[] }> {
  const before = await measureMachine(executor, { effort, peer });
  const probes = new Probes({ executor, effort, peer });
  const results: T[][] = visits.map(() => []);
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [index, visit] of visits.entries()) results[index].push(await visit(round, probes));
    }
    const { ceilings, sources } = probes;
    const machine = raiseCeilings(before, ceilings);
    return { machine: sources.length > 0 ? { ...machine, probes: sources } : machine, results };
  } finally {
    await probes.dispose();
  }
}

/** How many of `total` samples fall to each round: as even as possible, the first rounds get the rest. */
export function shareSamples(total: number, rounds: number): number[] {
  return Array.from({ length: rounds }, (_, round) => Math.floor((total + rounds - 1 - round) / rounds));
}
