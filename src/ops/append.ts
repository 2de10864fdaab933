/** States that grow: writing a piece of a sequence behind what a cache already holds. */
import type { Shape, Tensor } from '../graph/index.ts';
import { BraidError, byteSize, defineOperation, elementCount } from '../graph/index.ts';
import { FLOAT32, INT32 } from './require.ts';
import { checkPiece, expectType, floatsOf, integersOf, requireType, sizesOf, store } from './sequence.ts';

/** Rows of a cache [B, C, …]: row `b` holds `capacity` entries of `size` numbers each. */
interface Rows {
  readonly batch: number;
  readonly capacity: number;
  readonly size: number;
}

function rowsOf(shape: Shape): Rows {
  const [batch, capacity] = shape;
  return { batch, capacity, size: elementCount(shape.slice(2)) };
}

function checkRoom(used: number, length: number, capacity: number, row: number): void {
  if (used >= 0 && used + length <= capacity) return;
  throw new BraidError(
    'data',
    `append: row ${row} of the cache has ${used} entries used and cannot take ${length} more: its capacity is ` +
      `${capacity}. Give the state a larger capacity.`,
  );
}

const appendOperation = defineOperation<Record<string, never>>({
  name: 'append',
  infer(inputs, _attributes, fail) {
    const { cache, length } = checkPiece(inputs, fail);
    const [, capacity] = cache.shape;
    if (length > capacity) return fail(`${length} entries do not fit into a cache of capacity ${capacity}.`);
    return [{ shape: cache.shape, dtype: cache.dtype }];
  },
  gradient({ inputs }, [gradient]) {
    const [, fresh, used] = inputs;
    if (!gradient || !fresh || !used) return [undefined, undefined, undefined];
    const back = appendBackward(gradient, used, { length: fresh.shape[1] });
    return [back.cache, back.fresh, undefined];
  },
  cost([, fresh]) {
    // In place: only the new entries move.
    return { model: 0, executed: 0, elementwise: 0, bytes: fresh ? 2 * byteSize(fresh) : 0 };
  },
  evaluate([cache, fresh, usedOperand], [output]) {
    if (!cache || !fresh || !output) return;
    const used = integersOf(usedOperand, 'used');
    const { batch, capacity, size } = rowsOf(cache.shape);
    const length = fresh.shape[1];
    if (output.values !== cache.values) output.values.set(cache.values);
    for (let b = 0; b < batch; b++) {
      checkRoom(used[b], length, capacity, b);
      const entries = fresh.values.subarray(b * length * size, (b + 1) * length * size);
      output.values.set(entries, (b * capacity + used[b]) * size);
    }
  },
  inPlace: [[0, 0]],
});

type AppendBackward = { readonly length: number };

const appendBackwardOperation = defineOperation<AppendBackward>({
  name: 'appendBackward',
  infer([gradient, used], { length }, fail) {
    if (!gradient || gradient.shape.length < 2) return fail(`the gradient must be [B, C, …].`);
    const [batch, capacity, ...rest] = gradient.shape;
    expectType(gradient, 'gradient', gradient.shape, FLOAT32, fail);
    requireType(used, 'used', [batch], INT32, fail);
    if (length < 1 || length > capacity) return fail(`length is ${length}; the capacity is ${capacity}.`);
    return [
      { shape: gradient.shape, dtype: 'float32' },
      { shape: [batch, length, ...rest], dtype: 'float32' },
    ];
  },
  cost(_inputs, outputs) {
    const bytes = outputs.reduce((sum, type) => sum + 2 * byteSize(type), 0);
    return { model: 0, executed: 0, elementwise: 0, bytes };
  },
  evaluate([gradientOperand, usedOperand], [cacheGradient, freshGradient], { length }) {
    const gradient = floatsOf(gradientOperand, 'gradient');
    const used = integersOf(usedOperand, 'used');
    const { batch, capacity, size } = rowsOf(gradientOperand?.shape ?? []);
    const dCache = Float64Array.from(gradient);
    const dFresh = new Float64Array(batch * length * size);
    for (let b = 0; b < batch; b++) {
      checkRoom(used[b], length, capacity, b);
      const start = (b * capacity + used[b]) * size;
      dFresh.set(gradient.subarray(start, start + length * size), b * length * size);
      dCache.fill(0, start, start + length * size);
    }
    store(cacheGradient, dCache);
    store(freshGradient, dFresh);
  },
});

type Advance = { readonly by: number; readonly most?: number };

const advanceOperation = defineOperation<Advance>({
  name: 'advance',
  infer([used], { by, most = 0 }, fail) {
    const shape = sizesOf(used, 'used', 'B', fail);
    requireType(used, 'used', shape, INT32, fail);
    if (!Number.isInteger(by)) return fail(`'by' must be a whole number, not ${by}.`);
    if (!Number.isInteger(most)) return fail(`'most' must be a whole number, not ${most}.`);
    return [{ shape, dtype: 'int32' }];
  },
  cost([used]) {
    const bytes = used ? 2 * byteSize(used) : 0;
    return { model: 0, executed: 0, elementwise: used ? elementCount(used.shape) : 0, bytes };
  },
  evaluate([used], [output], { by, most = Number.POSITIVE_INFINITY }) {
    store(
      output,
      integersOf(used, 'used').map((count) => Math.min(count + by, most)),
    );
  },
  inPlace: [[0, 0]],
});

/**
 * Writes `fresh` [B, L, …] into `cache` [B, C, …] at the entries used[b] … used[b] + L − 1 of each row and returns the
 * new cache. float32 or int32. Where a row has no room, running the program fails with the row and its capacity.
 */
export function append(cache: Tensor, fresh: Tensor, used: Tensor): Tensor {
  return cache.graph.apply(appendOperation, [cache, fresh, used], {})[0];
}

/** The gradient of `append`: that of the old cache (zero at the written entries) and that of the `length` new ones. */
export function appendBackward(
  gradient: Tensor,
  used: Tensor,
  attributes: AppendBackward,
): { cache: Tensor; fresh: Tensor } {
  const [cache, fresh] = gradient.graph.apply(appendBackwardOperation, [gradient, used], attributes);
  return { cache, fresh };
}

/** The used lengths [B] (int32) after `by` more entries, `most` at the most where that is given. */
export function advance(used: Tensor, by: number, most?: number): Tensor {
  return used.graph.apply(advanceOperation, [used], most === undefined ? { by } : { by, most })[0];
}
