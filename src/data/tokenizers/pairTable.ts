/** A table from pairs of tokens to ranks: open addressing over typed arrays, because every merge asks it several times. */
export class PairTable {
  readonly #lefts: Int32Array;
  readonly #rights: Int32Array;
  readonly #ranks: Int32Array;
  readonly #mask: number;

  /** Holds up to `pairs` pairs. */
  constructor(pairs: number) {
    const size = 2 ** Math.ceil(Math.log2(2 * pairs + 2));
    this.#lefts = new Int32Array(size).fill(-1);
    this.#rights = new Int32Array(size);
    this.#ranks = new Int32Array(size);
    this.#mask = size - 1;
  }

  /** The first rank that a pair is given stays. */
  set(left: number, right: number, rank: number): void {
    const at = this.#find(left, right);
    if (this.#lefts[at] >= 0) return;
    this.#lefts[at] = left;
    this.#rights[at] = right;
    this.#ranks[at] = rank;
  }

  /** −1 for a pair that is not there. */
  get(left: number, right: number): number {
    const at = this.#find(left, right);
    return this.#lefts[at] < 0 ? -1 : this.#ranks[at];
  }

  /** Where a pair is, or the free place where it would be. */
  #find(left: number, right: number): number {
    let at = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 0;
    at = (at ^ (at >>> 15)) & this.#mask;
    while (this.#lefts[at] >= 0 && (this.#lefts[at] !== left || this.#rights[at] !== right)) {
      at = (at + 1) & this.#mask;
    }
    return at;
  }
}
