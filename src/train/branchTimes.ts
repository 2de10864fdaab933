/** How long the branches of a block took in a run, forward and backward. */
import type { BlockSummary } from '../blocks/index.ts';
import type { Program } from '../compiler/index.ts';
import type { RunStatistics } from '../runtime/executor.ts';

/**
 * Seconds of each branch of a block: of its calls on all threads, and of its lanes, where other threads' help counts as
 * if the lane's own had done it.
 */
export function branchTimes(
  program: Program,
  statistics: Pick<RunStatistics, 'calls' | 'lanes'>,
  block: Pick<BlockSummary, 'branches'>,
): number[] {
  const parts = [...laneTimes(program, statistics), ...callTimes(program, statistics)];
  return block.branches.map(({ path }) =>
    parts.reduce(
      (sum, part) => sum + (part.path === path || part.path.startsWith(`${path}.`) ? part.seconds : 0),
      0,
    ),
  );
}

interface Part {
  readonly path: string;
  readonly seconds: number;
}

function laneTimes({ calls, schedule }: Program, { lanes }: Pick<RunStatistics, 'lanes'>): Part[] {
  const groups = schedule.flatMap((item) => ('group' in item ? [item] : []));
  return lanes.flatMap(({ work }, group) =>
    work.map((seconds, lane) => ({ path: calls[groups[group].lanes[lane].calls[0]].path, seconds })),
  );
}

function callTimes(program: Program, { calls = [] }: Pick<RunStatistics, 'calls'>): Part[] {
  const alone = new Set(program.schedule.flatMap((item) => ('call' in item ? [item.call] : [])));
  return calls.flatMap(({ call, seconds }) =>
    alone.has(call) ? [{ path: program.calls[call].path, seconds }] : [],
  );
}
