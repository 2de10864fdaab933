/**
 * Routing by absolute position: positions are cut into chunks, and a cyclic pattern of branches, shifted by one chunk
 * per routed block, says which branch a chunk goes to. The routing of a position never depends on what follows, so
 * states can be carried and a token needs exactly one branch per block.
 */
import { BraidError } from '../../graph/index.ts';
import type { Range, Routing, RoutingStrategy } from './strategy.ts';

const DEFAULT_PATTERN = 'AAASS';
const DEFAULT_CHUNK = 64;
const LARGEST_PATTERN = 8;

/**
 * The pattern A…AS…S whose share of A is nearest to a ratio, with at least two of each (strict alternation never lets
 * information cross) and at most eight chunks. The shorter one wins a tie.
 */
export function nearestPattern(ratio: number): string {
  let best = { distance: Number.POSITIVE_INFINITY, pattern: DEFAULT_PATTERN };
  for (let size = 4; size <= LARGEST_PATTERN; size++) {
    for (let first = 2; first <= size - 2; first++) {
      const distance = Math.abs(first / size - ratio);
      // Shares such as 2/4 and 3/6 are the same number: only a clearly smaller distance counts.
      if (distance < best.distance - 1e-12) {
        best = { distance, pattern: 'A'.repeat(first) + 'S'.repeat(size - first) };
      }
    }
  }
  return best.pattern;
}

/** The cyclic pattern that a configuration asks for, one letter per chunk: A the first branch, S the second. */
export function chunkPattern(routing: Routing): string {
  if (routing.pattern !== undefined) return routing.pattern;
  return routing.ratio === undefined ? DEFAULT_PATTERN : nearestPattern(routing.ratio);
}

function chunkSize(routing: Routing): number {
  return routing.chunk ?? DEFAULT_CHUNK;
}

/** The strategy `chunks`. */
export const chunks: RoutingStrategy = {
  name: 'chunks',
  summary: 'a cyclic pattern over chunks of absolute positions, shifted by one chunk per block',
  ratio: 'pattern',
  prefixStable: true,
  check(routing) {
    const { pattern, ratio } = routing;
    if (pattern === undefined) return [];
    if (ratio !== undefined) {
      return [{ option: 'ratio', message: `is ${ratio}, but 'pattern' is given too; keep one of the two.` }];
    }
    if (!/^[AS]+$/.test(pattern) || !pattern.includes('A') || !pattern.includes('S')) {
      const message =
        `is '${pattern}'; it must be made of A (first branch) and S (second branch), at least one of each, ` +
        `such as ${DEFAULT_PATTERN}.`;
      return [{ option: 'pattern', message }];
    }
    return [];
  },
  findings(routing) {
    const pattern = chunkPattern(routing);
    // The pattern is cyclic: its ends are neighbours.
    if (!/^(AS)+$|^(SA)+$/.test(pattern)) return [];
    const finding =
      `in the pattern ${pattern} the branches alternate strictly: about half of all earlier positions are never seen, ` +
      'however many blocks there are. Two equal letters in a row are needed.';
    return [{ finding, source: 'docs/flowhn.md, Chunks' }];
  },
  period: (routing) => chunkSize(routing) * chunkPattern(routing).length,
  route({ routing, layer, length, start }) {
    if (!Number.isInteger(start) || start < 0) {
      throw new BraidError('graph', `Chunks need a start position of 0 or more; given: ${start}.`);
    }
    const pattern = chunkPattern(routing);
    const size = chunkSize(routing);
    const branches: [Range[], Range[]] = [[], []];
    let position = start;
    while (position < start + length) {
      const chunk = Math.floor(position / size);
      const end = Math.min((chunk + 1) * size, start + length);
      const branch = branches[pattern[(chunk + layer) % pattern.length] === 'A' ? 0 : 1];
      const last = branch[branch.length - 1];
      if (last && last[1] === position - start) branch[branch.length - 1] = [last[0], end - start];
      else branch.push([position - start, end - start]);
      position = end;
    }
    return branches;
  },
};
