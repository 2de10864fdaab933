/** Rows of a table chosen by ids. */
import type { Tensor } from '../graph/index.ts';
import { BraidError, byteSize, defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import { operand } from './plain.ts';
import {
  FLOAT32,
  INT32,
  requireInput,
  requirePositiveInteger,
  requireRank,
  requireShape,
} from './require.ts';

function requireId(id: number, index: number, vocabulary: number): void {
  if (id >= 0 && id < vocabulary) return;
  throw new BraidError(
    'data',
    `embedding: id ${id} at index ${index} is outside [0, ${vocabulary}). The tokenizer and the model must have the ` +
      'same vocabulary.',
  );
}

const embeddingOperation = defineOperation({
  name: 'embedding',
  infer(inputs, _, fail) {
    const table = requireInput(inputs, 0, 'table', FLOAT32, fail);
    const ids = requireInput(inputs, 1, 'ids', INT32, fail);
    requireRank(table, 'table', '[V, D]', 2, fail);
    requireRank(ids, 'ids', '[B, L]', 2, fail);
    return [{ shape: [...ids.shape, table.shape[1]], dtype: 'float32' }];
  },
  gradient: ({ inputs: [table, ids] }, [dy]) =>
    table && ids && dy ? [embeddingBackward(ids, dy, { vocabulary: table.shape[0] }), undefined] : [],
  // Only the rows asked for are read.
  cost: ([, ids], [y]) => elementwiseCost(0, [ids, y], [y]),
  evaluate(inputs, [y]) {
    if (!y) return;
    const table = operand(inputs, 0);
    const ids = operand(inputs, 1).values;
    const [vocabulary, width] = table.shape;
    ids.forEach((id: number, index: number) => {
      requireId(id, index, vocabulary);
      y.values.set(table.values.subarray(id * width, (id + 1) * width), index * width);
    });
  },
});

/** table[V, D], ids[B, L] int32 → [B, L, D]. An id outside [0, V) is an error when the program runs. */
export function embedding(table: Tensor, ids: Tensor): Tensor {
  return graphOf([table, ids]).apply(embeddingOperation, [table, ids], {})[0];
}

type BackwardAttributes = { readonly vocabulary: number };

const embeddingBackwardOperation = defineOperation<BackwardAttributes>({
  name: 'embeddingBackward',
  infer(inputs, { vocabulary }, fail) {
    const ids = requireInput(inputs, 0, 'ids', INT32, fail);
    const dy = requireInput(inputs, 1, 'dy', FLOAT32, fail);
    requireRank(ids, 'ids', '[B, L]', 2, fail);
    requireRank(dy, 'dy', '[B, L, D]', 3, fail);
    requireShape(dy, [...ids.shape, dy.shape[2]], 'dy', fail);
    requirePositiveInteger(vocabulary, 'vocabulary', fail);
    return [{ shape: [vocabulary, dy.shape[2]], dtype: 'float32' }];
  },
  cost([ids, dy], [dTable]) {
    // The table is cleared, and one row is read and written per id.
    const rows = dy ? byteSize(dy) : 0;
    const cost = elementwiseCost(dy ? elementCount(dy.shape) : 0, [ids, dy], [dTable]);
    return { ...cost, bytes: cost.bytes + 2 * rows };
  },
  evaluate(inputs, [dTable], { vocabulary }) {
    if (!dTable) return;
    const ids = operand(inputs, 0).values;
    const dy = operand(inputs, 1).values;
    const width = dTable.shape[1];
    const sums = new Float64Array(vocabulary * width);
    ids.forEach((id: number, index: number) => {
      requireId(id, index, vocabulary);
      for (let i = 0; i < width; i++) sums[id * width + i] += dy[index * width + i];
    });
    dTable.values.set(sums);
  },
});

/** The gradient of the table: dTable[V, D], where row v is the sum of dy[b, l] over all positions with id v. */
export function embeddingBackward(
  ids: Tensor,
  dy: Tensor,
  { vocabulary }: { readonly vocabulary: number },
): Tensor {
  return graphOf([ids, dy]).apply(embeddingBackwardOperation, [ids, dy], { vocabulary })[0];
}
