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
/** One digit each. */
const MOST_BRANCHES = 10;

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

/**
 * The cyclic pattern that a configuration asks for, one letter per chunk: the number of the branch, or A for the first and
 * S for the second. Not given for more than two branches: two chunks for each.
 */
export function chunkPattern(routing: Routing, branches = 2): string {
  if (routing.pattern !== undefined) return routing.pattern;
  if (branches > 2) return Array.from({ length: branches }, (_, branch) => `${branch}${branch}`).join('');
  return routing.ratio === undefined ? DEFAULT_PATTERN : nearestPattern(routing.ratio);
}

function branchOf(letter: string): number {
  if (letter === 'A') return 0;
  return letter === 'S' ? 1 : Number(letter);
}

/** Whether the branches take turns one chunk at a time: then the same positions meet in every block. */
function alternates(pattern: string): boolean {
  const letters = [...pattern].map(branchOf);
  const turn = new Set(letters).size;
  // The pattern is cyclic: whole turns only.
  return letters.length % turn === 0 && letters.every((branch, place) => branch === letters[place % turn]);
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
  mostBranches: MOST_BRANCHES,
  check(routing, branches) {
    const { pattern, ratio } = routing;
    if (ratio !== undefined && pattern !== undefined) {
      return [{ option: 'ratio', message: `is ${ratio}, but 'pattern' is given too; keep one of the two.` }];
    }
    if (ratio !== undefined && branches !== undefined && branches > 2) {
      const message = `is ${ratio}, the share of the first of two branches, but there are ${branches}; give 'pattern'.`;
      return [{ option: 'ratio', message }];
    }
    if (pattern === undefined) return [];
    const found = new Set([...pattern].map(branchOf));
    const complete =
      branches === undefined
        ? found.size > 1
        : found.size === branches && [...found].every((branch) => branch < branches);
    if (/^[AS\d]+$/.test(pattern) && complete) return [];
    const most = branches === undefined ? 'the last branch' : String(branches - 1);
    const message =
      `is '${pattern}'; it must be made of the numbers of the branches, from 0 to ${most}, at least one of each, such as ` +
      `${chunkPattern({ ...routing, pattern: undefined }, branches)}. A is the first branch too, and S the second.`;
    return [{ option: 'pattern', message }];
  },
  findings(routing) {
    const pattern = chunkPattern(routing);
    if (!alternates(pattern)) return [];
    const finding =
      `in the pattern ${pattern} the branches alternate strictly: about half of all earlier positions are never seen, ` +
      'however many blocks there are. Two equal letters in a row are needed.';
    return [{ finding, source: 'docs/flowhn.md, Chunks' }];
  },
  period: (routing, branches) => chunkSize(routing) * chunkPattern(routing, branches).length,
  route({ routing, layer, length, start, branches: count = 2 }) {
    if (!Number.isInteger(start) || start < 0) {
      throw new BraidError('graph', `Chunks need a start position of 0 or more; given: ${start}.`);
    }
    const pattern = chunkPattern(routing, count);
    const size = chunkSize(routing);
    const branches = Array.from({ length: count }, (): Range[] => []);
    let position = start;
    while (position < start + length) {
      const chunk = Math.floor(position / size);
      const end = Math.min((chunk + 1) * size, start + length);
      const branch = branches[branchOf(pattern[(chunk + layer) % pattern.length])];
      const last = branch[branch.length - 1];
      if (last && last[1] === position - start) branch[branch.length - 1] = [last[0], end - start];
      else branch.push([position - start, end - start]);
      position = end;
    }
    return branches;
  },
};
