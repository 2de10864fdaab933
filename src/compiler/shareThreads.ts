import type { Node } from '../graph/index.ts';

/**
 * FLOPs of a matrix product that a processor core does in about the time in which it moves one byte. It weighs calls
 * that compute against calls that move data; only the ratio of two lanes depends on it.
 */
const FLOPS_PER_BYTE = 16;

function work(nodes: readonly Node[]): number {
  let sum = 0;
  for (const { operation, inputs, outputs, attributes } of nodes) {
    const { executed, bytes } = operation.cost(inputs, outputs, attributes);
    sum += executed + FLOPS_PER_BYTE * bytes;
  }
  return sum;
}

/** Threads for each lane, at least one, so that the lane with the most work per thread has as little as possible. */
export function shareThreads(lanes: readonly (readonly Node[])[], threads: number): readonly number[] {
  const works = lanes.map(work);
  const shares = lanes.map(() => 1);
  for (let left = threads - lanes.length; left > 0; left--) {
    let slowest = 0;
    for (let lane = 1; lane < lanes.length; lane++) {
      if (works[lane] / shares[lane] > works[slowest] / shares[slowest]) slowest = lane;
    }
    shares[slowest]++;
  }
  return shares;
}
