/**
 * Byte pair encoding of one word (Sennrich et al. 2016, arXiv:1508.07909): of all adjacent pairs, the one with the lowest rank
 * is merged, the leftmost of equals first, until none can be.
 */

import { PairHeap } from './pairHeap.ts';

/** What can be merged. */
export interface Merges {
  /** The rank of a pair, the lower the sooner; −1 where it cannot be merged. */
  rank(left: number, right: number): number;
  /** The token that a pair of this rank becomes. */
  result(rank: number): number;
}

/** Words up to this length are searched anew for each merge; longer ones keep their pairs in a heap. */
const shortWord = 48;

/** Merges the tokens of a word in place and returns how many are left. */
export function mergePairs(tokens: Int32Array, count: number, merges: Merges): number {
  return count <= shortWord ? mergeShort(tokens, count, merges) : mergeLong(tokens, count, merges);
}

const shortRanks = new Int32Array(shortWord);

function mergeShort(tokens: Int32Array, given: number, merges: Merges): number {
  let count = given;
  const ranks = shortRanks;
  for (let i = 0; i + 1 < count; i++) ranks[i] = merges.rank(tokens[i], tokens[i + 1]);
  for (;;) {
    let best = -1;
    for (let i = 0; i + 1 < count; i++) {
      if (ranks[i] >= 0 && (best < 0 || ranks[i] < ranks[best])) best = i;
    }
    if (best < 0) return count;
    tokens[best] = merges.result(ranks[best]);
    tokens.copyWithin(best + 1, best + 2, count);
    ranks.copyWithin(best + 1, best + 2, count - 1);
    count--;
    if (best > 0) ranks[best - 1] = merges.rank(tokens[best - 1], tokens[best]);
    if (best + 1 < count) ranks[best] = merges.rank(tokens[best], tokens[best + 1]);
  }
}

/** A heap of pairs over a linked list of tokens. A pair whose tokens were merged meanwhile is met and passed over. */
function mergeLong(tokens: Int32Array, count: number, merges: Merges): number {
  const next = Int32Array.from({ length: count }, (_, i) => (i + 1 < count ? i + 1 : -1));
  const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
  const heap = new PairHeap(2 * count);
  const offer = (place: number): void => {
    const other = place < 0 ? -1 : next[place];
    if (other < 0) return;
    const rank = merges.rank(tokens[place], tokens[other]);
    if (rank >= 0) heap.push(rank, place);
  };
  for (let i = 0; i + 1 < count; i++) offer(i);
  while (heap.size > 0) {
    const rank = heap.topRank;
    const place = heap.pop();
    const other = next[place];
    if (tokens[place] < 0 || other < 0 || merges.rank(tokens[place], tokens[other]) !== rank) continue;
    tokens[place] = merges.result(rank);
    tokens[other] = -1;
    next[place] = next[other];
    if (next[place] >= 0) previous[next[place]] = place;
    offer(previous[place]);
    offer(place);
  }
  let left = 0;
  for (let i = 0; i < count; i++) if (tokens[i] >= 0) tokens[left++] = tokens[i];
  return left;
}
