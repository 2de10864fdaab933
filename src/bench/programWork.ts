/** What one run of a program does, read off the program. */
import type { Program } from '../compiler/index.ts';
import type { Work } from './measurement.ts';
import { sum } from './statistics.ts';

/** Executed FLOPs and bytes, and the least bytes that the persistent tensors ask for. */
export function workOf(programs: readonly Program[]): Omit<Work, 'tokens' | 'modelFlops'> {
  const calls = programs.flatMap((program) => program.calls);
  return {
    executedFlops: sum(calls.map(({ flops }) => flops)),
    executedBytes: sum(calls.map(({ bytes }) => bytes)),
    neededBytes: sum(programs.map(neededBytes)),
  };
}

/**
 * Every persistent tensor read once by those who read it, and written once where it is written. A call that reads a few
 * rows of a tensor (an embedding) needs no more of it than the bytes that the call moves.
 */
function neededBytes({ buffers, calls }: Program): number {
  const read = new Map<number, number>();
  const written = new Set<number>();
  for (const call of calls) {
    for (const input of call.inputs) {
      if (input !== null) read.set(input, Math.max(read.get(input) ?? 0, call.bytes));
    }
    for (const output of call.outputs) if (output !== null) written.add(output);
  }
  return sum(
    buffers.map(({ offset, bytes }, index) => {
      if (offset !== undefined) return 0;
      return Math.min(bytes, read.get(index) ?? 0) + (written.has(index) ? bytes : 0);
    }),
  );
}
