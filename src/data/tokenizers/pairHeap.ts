/** A binary heap of (rank, place), the smallest on top. */
export class PairHeap {
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
