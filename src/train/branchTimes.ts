/** How long the branches of a block took in a run, forward and backward. */
import type { BlockSummary } from '../blocks/index.ts';
import type { Program } from '../compiler/index.ts';
import type { RunStatistics } from '../runtime/executor.ts';

/** Seconds of each branch of a block: the busy time of its calls, in lanes or one after the other. */
export function branchTimes(
  program: Program,
  { calls = [] }: Pick<RunStatistics, 'calls'>,
  block: Pick<BlockSummary, 'branches'>,
): number[] {
  return block.branches.map(({ path }) =>
    calls.reduce((sum, { call, seconds }) => {
      const own = program.calls[call].path;
      return sum + (own === path || own.startsWith(`${path}.`) ? seconds : 0);
    }, 0),
  );
}
