import type { LaneStatistics } from '../runtime/executor.ts';

/**
 * How evenly lanes were loaded: the busy time of all lanes over (lanes × the slowest lane), over all groups of a step. 1
 * is perfect; 1 / lanes means that one lane did everything. `undefined` where no lanes ran.
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
