/**
 * Learning byte pairs from counted words (Sennrich et al. 2016, arXiv:1508.07909, algorithm 1): the pair that stands most often
 * side by side becomes a token, and so on until there are enough. Only the words that hold a merged pair are looked at again. Of
 * pairs that are equally frequent the one that was met first is taken, so that the same words in the same order give the same
 * tokens.
 */
import { PairHeap } from './pairHeap.ts';

export interface LearnedMerge {
  readonly left: number;
  readonly right: number;
}

export interface TrainOptions {
  /** Most merges. */
  readonly merges: number;
  /** The number of the first merged token; smaller ones are those that the words are made of. */
  readonly firstToken: number;
  readonly onProgress?: (merges: number) => void;
}

interface Word {
  tokens: number[];
  readonly count: number;
}

/** Merges in the order in which they were learned; fewer than asked for when no pair is left that occurs twice. */
export function trainBpe(
  words: Iterable<{ readonly tokens: readonly number[]; readonly count: number }>,
  { merges, firstToken, onProgress = () => undefined }: TrainOptions,
): readonly LearnedMerge[] {
  const learner = new Learner([...words].map(({ tokens, count }) => ({ tokens: [...tokens], count })));
  const learned: LearnedMerge[] = [];
  while (learned.length < merges) {
    const merge = learner.mostFrequent();
    if (!merge) break;
    learner.merge(merge, firstToken + learned.length);
    learned.push(merge);
    onProgress(learned.length);
  }
  return learned;
}

const fewest = 2;
/** Tokens have smaller numbers. */
const base = 2 ** 22;

class Learner {
  readonly #words: readonly Word[];
  /** The number of each pair, by both its tokens. */
  readonly #numbers = new Map<number, number>();
  readonly #pairs: LearnedMerge[] = [];
  readonly #counts: number[] = [];
  /** Words that hold a pair, or held it once. */
  readonly #places: number[][] = [];
  readonly #heap = new PairHeap(1 << 16);

  constructor(words: readonly Word[]) {
    this.#words = words;
    words.forEach(({ tokens, count }, index) => {
      for (let i = 0; i + 1 < tokens.length; i++) this.#add(tokens[i], tokens[i + 1], count, index);
    });
    this.#counts.forEach((count, pair) => {
      this.#heap.push(-count, pair);
    });
  }

  /** The pair that occurs most often, if it occurs more than once. What the heap says may be older than the counts. */
  mostFrequent(): LearnedMerge | undefined {
    while (this.#heap.size > 0) {
      const known = -this.#heap.topRank;
      const pair = this.#heap.pop();
      const count = this.#counts[pair];
      if (count === known) return count >= fewest ? this.#pairs[pair] : undefined;
      if (count >= fewest && count < known) this.#heap.push(-count, pair);
    }
    return undefined;
  }

  merge({ left, right }: LearnedMerge, token: number): void {
    const pair = this.#number(left, right);
    const changed = new Set<number>();
    const places = this.#places[pair];
    this.#places[pair] = [];
    let before = -1;
    for (const place of places) {
      // A word is noted once for every time it held the pair.
      if (place === before) continue;
      before = place;
      this.#mergeIn(place, left, right, token, changed);
    }
    this.#counts[pair] = 0;
    for (const grown of changed) this.#heap.push(-this.#counts[grown], grown);
  }

  #mergeIn(place: number, left: number, right: number, token: number, changed: Set<number>): void {
    const word = this.#words[place];
    const { tokens, count } = word;
    const merged: number[] = [];
    for (let i = 0; i < tokens.length; i++) {
      if (tokens[i] === left && tokens[i + 1] === right) {
        merged.push(token);
        i++;
      } else {
        merged.push(tokens[i]);
      }
    }
    if (merged.length === tokens.length) return;
    for (let i = 0; i + 1 < tokens.length; i++) this.#counts[this.#number(tokens[i], tokens[i + 1])] -= count;
    for (let i = 0; i + 1 < merged.length; i++) {
      const pair = this.#add(merged[i], merged[i + 1], count, place);
      if (merged[i] === token || merged[i + 1] === token) changed.add(pair);
    }
    word.tokens = merged;
  }

  #add(left: number, right: number, count: number, place: number): number {
    const pair = this.#number(left, right);
    this.#counts[pair] += count;
    const places = this.#places[pair];
    if (places.at(-1) !== place) places.push(place);
    return pair;
  }

  #number(left: number, right: number): number {
    const key = left * base + right;
    const found = this.#numbers.get(key);
    if (found !== undefined) return found;
    const pair = this.#pairs.length;
    this.#numbers.set(key, pair);
    this.#pairs.push({ left, right });
    this.#counts.push(0);
    this.#places.push([]);
    return pair;
  }
}
