/** Draws one after the other from a stream of random numbers. */
import { randomStream } from '../../nn/random.ts';

export class Draws {
  readonly #stream: ReturnType<typeof randomStream>;
  #next = 0;

  constructor(seed: number, name: string) {
    this.#stream = randomStream(seed, name);
  }

  /** In (0, 1). */
  uniform(): number {
    return this.#stream.uniform(this.#next++);
  }

  /** A whole number of [low, high). */
  between(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low));
  }

  pick<T>(values: readonly T[]): T {
    return values[this.between(0, values.length)];
  }

  /** `count` different numbers of [low, high), in random order. */
  different(count: number, low: number, high: number): number[] {
    const moved = new Map<number, number>();
    return Array.from({ length: count }, (_, index) => {
      const from = low + index;
      const at = this.between(from, high);
      const found = moved.get(at) ?? at;
      moved.set(at, moved.get(from) ?? from);
      return found;
    });
  }

  /**
   * `count` different numbers of [0, weights.length), each drawn with a probability proportional to its weight among those
   * that are left.
   */
  weighted(count: number, weights: readonly number[]): number[] {
    // The largest u^(1/w) are such a sample (Efraimidis and Spirakis 2006); by logarithms, nothing underflows.
    const keys = weights.map((weight, index) => ({ index, key: Math.log(this.uniform()) / weight }));
    keys.sort((a, b) => b.key - a.key);
    return keys.slice(0, count).map(({ index }) => index);
  }
}
