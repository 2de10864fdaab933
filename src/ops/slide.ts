/**
 * Caches that keep only what can still be seen: the first entries of a row (sinks, Xiao et al. 2023) and a ring of the
 * last ones. Entry p of a row, counted from 0, stands at p where p < sinks, and at sinks + (p − sinks) mod (C − sinks)
 * in a cache of C entries: as long as the row fits, that is where `append` puts it.
 */
import type { Shape, Tensor } from '../graph/index.ts';
import { BraidError, byteSize, defineOperation, elementCount } from '../graph/index.ts';
import type { Fail } from './require.ts';
import { FLOAT32, INT32 } from './require.ts';
import { checkPiece, expectType, integersOf, optionalFloats, requireType, store } from './sequence.ts';

/** Where the entries of one row stand before and after a piece of `length` entries. */
class Ring {
  /** Entries that the cache holds before the piece. */
  readonly kept: number;
  readonly #used: number;
  readonly #length: number;
  readonly #capacity: number;
  readonly #sinks: number;

  constructor(used: number, length: number, capacity: number, sinks: number) {
    if (used < 0) throw new BraidError('data', `slide: a row has ${used} entries used, which is below 0.`);
    this.kept = Math.min(used, capacity);
    this.#used = used;
    this.#length = length;
    this.#capacity = capacity;
    this.#sinks = sinks;
  }

  #slot(entry: number): number {
    if (entry < this.#sinks) return entry;
    return this.#sinks + ((entry - this.#sinks) % (this.#capacity - this.#sinks));
  }

  /** The place of the j-th of the kept entries, by age. */
  old(j: number): number {
    return this.#slot(j < this.#sinks ? j : this.#used - this.kept + j);
  }

  /** The place of the i-th entry of the piece; undefined where a later one of the piece takes it. */
  fresh(i: number): number | undefined {
    const entry = this.#used + i;
    const first = this.#used + this.#length - (this.#capacity - this.#sinks);
    return entry < this.#sinks || entry >= first ? this.#slot(entry) : undefined;
  }
}

/** Rows of a cache [B, C, …] and of a piece [B, L, …], entries of `size` numbers each. */
interface Sizes {
  readonly batch: number;
  readonly capacity: number;
  readonly length: number;
  readonly size: number;
}

function sizesOf(cache: Shape, length: number): Sizes {
  const [batch, capacity] = cache;
  return { batch, capacity, length, size: elementCount(cache.slice(2)) };
}

function checkSinks(sinks: number, capacity: number, fail: Fail): void {
  if (Number.isInteger(sinks) && sinks >= 0 && sinks < capacity) return;
  fail(`attribute sinks is ${sinks}; it must be a whole number from 0 to below the capacity, ${capacity}.`);
}

const slideOperation = defineOperation<{ readonly sinks: number }>({
  name: 'slide',
  infer(inputs, { sinks }, fail) {
    const { cache, length } = checkPiece(inputs, fail);
    const [batch, capacity, ...rest] = cache.shape;
    checkSinks(sinks, capacity, fail);
    return [
      { shape: [batch, capacity + length, ...rest], dtype: cache.dtype },
      { shape: cache.shape, dtype: cache.dtype },
    ];
  },
  gradient({ inputs: [cache, fresh, used], attributes: { sinks } }, [dOrdered, dCache]) {
    if (!cache || !fresh || !used || (!dOrdered && !dCache)) return [];
    const [, capacity] = cache.shape;
    const back = slideBackward(dOrdered, dCache, used, { capacity, length: fresh.shape[1], sinks });
    return [back.cache, back.fresh, undefined];
  },
  cost: ([, fresh], [ordered]) => ({
    model: 0,
    executed: 0,
    elementwise: 0,
    bytes: 2 * ((fresh ? byteSize(fresh) : 0) + byteSize(ordered)),
  }),
  evaluate([cache, fresh, used], [ordered, next], { sinks }) {
    if (!cache || !fresh) return;
    const counts = integersOf(used, 'used');
    const { batch, capacity, length, size } = sizesOf(cache.shape, fresh.shape[1]);
    const old = cache.values.slice();
    const piece = fresh.values;
    ordered?.values.fill(0);
    next?.values.set(old);
    for (let b = 0; b < batch; b++) {
      const ring = new Ring(counts[b], length, capacity, sinks);
      const entry = (at: number): number => (b * capacity + at) * size;
      const place = (at: number): number => (b * (capacity + length) + at) * size;
      for (let j = 0; j < ring.kept; j++) {
        const from = entry(ring.old(j));
        ordered?.values.set(old.subarray(from, from + size), place(j));
      }
      for (let i = 0; i < length; i++) {
        const own = piece.subarray((b * length + i) * size, (b * length + i + 1) * size);
        ordered?.values.set(own, place(ring.kept + i));
        const slot = ring.fresh(i);
        if (slot !== undefined) next?.values.set(own, entry(slot));
      }
    }
  },
  inPlace: [[1, 0]],
});

/**
 * Takes a piece `fresh` [B, L, …] into a cache [B, C, …], float32 or int32, that keeps the first `sinks` entries of a row
 * and the last C − sinks. `used` [B] int32 counts all entries before the piece, kept or not. Returns the new cache, and
 * `ordered` [B, C + L, …]: the min(used, C) kept entries by age, the piece, zeros.
 */
export function slide(
  cache: Tensor,
  fresh: Tensor,
  used: Tensor,
  { sinks }: { readonly sinks: number },
): { ordered: Tensor; cache: Tensor } {
  const [ordered, next] = cache.graph.apply(slideOperation, [cache, fresh, used], { sinks });
  return { ordered, cache: next };
}

type BackwardAttributes = { readonly capacity: number; readonly length: number; readonly sinks: number };

const slideBackwardOperation = defineOperation<BackwardAttributes>({
  name: 'slideBackward',
  infer([dOrdered, dCache, used], { capacity, length, sinks }, fail) {
    const given = dOrdered ?? dCache;
    if (!given || given.shape.length < 2) return fail(`neither 'dOrdered' nor 'dCache' is given.`);
    const [batch, , ...rest] = given.shape;
    expectType(dOrdered, 'dOrdered', [batch, capacity + length, ...rest], FLOAT32, fail);
    expectType(dCache, 'dCache', [batch, capacity, ...rest], FLOAT32, fail);
    requireType(used, 'used', [batch], INT32, fail);
    checkSinks(sinks, capacity, fail);
    return [
      { shape: [batch, capacity, ...rest], dtype: 'float32' },
      { shape: [batch, length, ...rest], dtype: 'float32' },
    ];
  },
  cost: (_, outputs) => ({
    model: 0,
    executed: 0,
    elementwise: 0,
    bytes: outputs.reduce((sum, type) => sum + 2 * byteSize(type), 0),
  }),
  evaluate(
    [orderedOperand, cacheOperand, used],
    [cacheGradient, freshGradient],
    { capacity, length, sinks },
  ) {
    const dOrdered = optionalFloats(orderedOperand, 'dOrdered');
    const dCache = optionalFloats(cacheOperand, 'dCache');
    const counts = integersOf(used, 'used');
    const { batch, size } = sizesOf((orderedOperand ?? cacheOperand)?.shape ?? [], length);
    const old = dCache ? Float64Array.from(dCache) : new Float64Array(batch * capacity * size);
    const fresh = new Float64Array(batch * length * size);
    const add = (to: Float64Array, at: number, from: ArrayLike<number>, start: number): void => {
      for (let n = 0; n < size; n++) to[at + n] += from[start + n];
    };
    for (let b = 0; b < batch; b++) {
      const ring = new Ring(counts[b], length, capacity, sinks);
      const entry = (at: number): number => (b * capacity + at) * size;
      const place = (at: number): number => (b * (capacity + length) + at) * size;
      for (let i = 0; i < length; i++) {
        const own = (b * length + i) * size;
        if (dOrdered) add(fresh, own, dOrdered, place(ring.kept + i));
        const slot = ring.fresh(i);
        if (slot === undefined) continue;
        if (dCache) add(fresh, own, dCache, entry(slot));
        old.fill(0, entry(slot), entry(slot) + size);
      }
      for (let j = 0; dOrdered && j < ring.kept; j++) add(old, entry(ring.old(j)), dOrdered, place(j));
    }
    store(cacheGradient, old);
    store(freshGradient, fresh);
  },
});

/** The gradients of `slide`: of the old cache and of the piece, from those of the entries in order and of the new cache. */
export function slideBackward(
  dOrdered: Tensor | undefined,
  dCache: Tensor | undefined,
  used: Tensor,
  attributes: BackwardAttributes,
): { cache: Tensor; fresh: Tensor } {
  const [cache, fresh] = used.graph.apply(slideBackwardOperation, [dOrdered, dCache, used], attributes);
  return { cache, fresh };
}
