/** What lanes did in each block, as a table. */
import type { LaneMeasurement } from '../bench/lanes.ts';
import { formatSeconds } from './format.ts';
import type { Column, Row } from './table.ts';

const align = 'right' as const;

export const laneColumns: readonly Column[] = [
  { title: 'block' },
  { title: 'lane', align },
  { title: 'threads', align },
  { title: 'own calls', align },
  { title: 'busy', align },
  { title: 'idle', align },
  { title: 'block', align },
  { title: 'without lanes', align },
  { title: 'without help', align },
  { title: 'balance', align },
];

/** One row per lane; the figures of the whole block stand in the row of its first lane. */
export function laneRows({ groups }: LaneMeasurement): Row[] {
  return groups.flatMap(({ group, seconds, busy, work, threads, balance, evenness, withoutLanes }) =>
    busy.map((time, lane) => [
      lane === 0 ? group : '',
      String(lane),
      String(threads[lane]),
      formatSeconds(work[lane]),
      formatSeconds(time),
      formatSeconds(Math.max(0, seconds - time)),
      ...(lane === 0
        ? [formatSeconds(seconds), formatSeconds(withoutLanes), evenness.toFixed(3), balance.toFixed(3)]
        : ['', '', '', '']),
    ]),
  );
}

export function laneVerdict({ groups, speedup }: LaneMeasurement): string {
  const none = 'No block has branches that could stand side by side on these threads. ';
  return `${groups.length > 0 ? '' : none}Steps with lanes are ${speedup.toFixed(3)} × as fast as without.`;
}
