/**
 * Byte pair encoding of one word (Sennrich et al. 2016, arXiv:1508.07909): of all adjacent pairs, the one with the lowest rank
 * is merged, the leftmost of equals first, until none can be.
 */

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

/** A binary heap of (rank, place), the smallest on top. */
class PairHeap {
  #ranks: Int32Array;
  #places: Int32Array;
  size = 0;

  constructor(capacity: number) {
    this.#ranks = new Int32Array(capacity);
    this.#places = new Int32Array(capacity);
  }

  get topRank(): number {
    return this.#ranks[0];
  }

  push(rank: number, place: number): void {
    if (this.size === this.#ranks.length) this.#grow();
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(rank, place, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#ranks[at] = rank;
    this.#places[at] = place;
  }

  /** Takes the smallest away and returns its place. */
  pop(): number {
    const top = this.#places[0];
    const last = --this.size;
    const rank = this.#ranks[last];
    const place = this.#places[last];
    let at = 0;
    for (let child = 1; child < last; child = 2 * at + 1) {
      if (child + 1 < last && this.#isBefore(this.#ranks[child + 1], this.#places[child + 1], child)) child++;
      if (this.#isBefore(rank, place, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#ranks[at] = rank;
    this.#places[at] = place;
    return top;
  }

  #isBefore(rank: number, place: number, at: number): boolean {
    return rank < this.#ranks[at] || (rank === this.#ranks[at] && place < this.#places[at]);
  }

  #move(from: number, to: number): void {
    this.#ranks[to] = this.#ranks[from];
    this.#places[to] = this.#places[from];
  }

  #grow(): void {
    const ranks = new Int32Array(2 * this.#ranks.length);
    ranks.set(this.#ranks);
    this.#ranks = ranks;
    const places = new Int32Array(2 * this.#places.length);
    places.set(this.#places);
    this.#places = places;
  }
}
