import type { LaneStatistics } from '../runtime/executor.ts';

/** The sum of the lanes' seconds over (lanes × the slowest lane): 1 is perfect, 1 / lanes means that one lane has it all. */
export function evennessOf(lanes: readonly number[]): number {
  return lanes.reduce((sum, seconds) => sum + seconds, 0) / (lanes.length * Math.max(...lanes));
}

/**
 * How evenly lanes were loaded: the busy time of all lanes over (lanes × the slowest lane), over all groups of a step.
 * `undefined` where no lanes ran.
 */
export function laneBalance(groups: readonly LaneStatistics[]): number | undefined {
  let busy = 0;
  let available = 0;
  for (const group of groups) {
    busy += group.busy.reduce((sum, seconds) => sum + seconds, 0);
    available += group.busy.length * Math.max(...group.busy);
  }
  return available > 0 ? busy / available : undefined;
}
