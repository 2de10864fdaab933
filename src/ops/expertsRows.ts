/**
 * Rows of tokens on their way to experts and back. `order` [R] comes from `groupTokens`: row r stands for choice order[r]
 * and so for token ⌊order[r] / repeat⌋, where every token has `repeat` rows.
 */
import type { Operand, Tensor, TensorType } from '../graph/index.ts';
import { BraidError, defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import type { Stored } from './elementwise.ts';
import { operand, roundStored } from './plain.ts';
import type { Fail, FloatType } from './require.ts';
import {
  FLOAT32,
  FLOATS,
  INT32,
  optionalInput,
  requireFloatType,
  requireInput,
  requirePositiveInteger,
  requireRank,
  requireShape,
} from './require.ts';
import { store } from './sequence.ts';

type StoredRows = { readonly repeat: number; readonly dtype: FloatType };
type Rows = { readonly repeat: number };

/** Checks a tensor of tokens [T, D] and the order of their T·repeat rows. */
function checkTokens(
  tokens: TensorType,
  name: string,
  inputs: readonly (TensorType | undefined)[],
  repeat: number,
  fail: Fail,
): { readonly rows: number; readonly width: number } {
  requirePositiveInteger(repeat, 'repeat', fail);
  requireRank(tokens, name, '[T, D]', 2, fail);
  const order = requireInput(inputs, 1, 'order', INT32, fail);
  const rows = tokens.shape[0] * repeat;
  requireShape(order, [rows], 'order', fail);
  return { rows, width: tokens.shape[1] };
}

/** Calls `visit` for every row with its choice, and where the numbers of the row and of its token begin. */
function forEachRow(
  order: Operand,
  { repeat, width }: { readonly repeat: number; readonly width: number },
  visit: (at: { readonly choice: number; readonly row: number; readonly token: number }) => void,
): void {
  const { values } = order;
  values.forEach((choice: number, row: number) => {
    if (choice < 0 || choice >= values.length) {
      throw new BraidError('data', `Row ${row} stands for choice ${choice}, outside [0, ${values.length}).`);
    }
    visit({ choice, row: row * width, token: Math.floor(choice / repeat) * width });
  });
}

const gatherRowsOperation = defineOperation<StoredRows>({
  name: 'gatherRows',
  infer(inputs, { repeat, dtype }, fail) {
    const x = requireInput(inputs, 0, 'x', FLOATS, fail);
    const { rows, width } = checkTokens(x, 'x', inputs, repeat, fail);
    requireFloatType(dtype, fail);
    return [{ shape: [rows, width], dtype }];
  },
  gradient: ({ inputs: [, order], attributes: { repeat } }, [dy]) =>
    order && dy ? [scatterRows(dy, order, undefined, { repeat }), undefined] : [],
  cost: (inputs, [y]) => elementwiseCost(0, [y, inputs[1]], [y]),
  evaluate(inputs, [y], { repeat }) {
    if (!y) return;
    const x = operand(inputs, 0).values;
    const width = y.shape[1];
    forEachRow(operand(inputs, 1), { repeat, width }, ({ row, token }) => {
      y.values.set(x.subarray(token, token + width), row);
    });
    roundStored(y);
  },
  storableOutputs: [0],
});

export interface RowsOptions {
  /** Rows of each token: the k of `topK`. */
  readonly repeat: number;
}

/** y[r] = x[⌊order[r] / repeat⌋]: x[T, D], float32 or bfloat16, order[T·repeat] int32 → y[T·repeat, D]. */
export function gatherRows(
  x: Tensor,
  order: Tensor,
  { repeat, dtype = 'float32' }: RowsOptions & Stored,
): Tensor {
  return graphOf([x, order]).apply(gatherRowsOperation, [x, order], { repeat, dtype })[0];
}

const scatterRowsOperation = defineOperation<Rows>({
  name: 'scatterRows',
  infer(inputs, { repeat }, fail) {
    requirePositiveInteger(repeat, 'repeat', fail);
    const y = requireInput(inputs, 0, 'y', FLOATS, fail);
    const order = requireInput(inputs, 1, 'order', INT32, fail);
    requireRank(y, 'y', '[R, D]', 2, fail);
    requireShape(order, [y.shape[0]], 'order', fail);
    const [rows, width] = y.shape;
    if (rows % repeat !== 0) return fail(`${rows} rows cannot be ${repeat} for every token.`);
    const weights = optionalInput(inputs, 2, 'weights', FLOAT32, fail);
    if (weights) requireShape(weights, [rows / repeat, repeat], 'weights', fail);
    return [{ shape: [rows / repeat, width], dtype: 'float32' }];
  },
  gradient({ inputs: [y, order, weights], attributes: { repeat } }, [dx]) {
    if (!y || !order || !dx) return [];
    if (!weights) return [gatherRows(dx, order, { repeat }), undefined, undefined];
    const { dy, dWeights } = scatterRowsBackward(y, order, weights, dx, { repeat });
    return [dy, undefined, dWeights];
  },
  cost: (inputs, outputs) =>
    elementwiseCost((inputs[2] ? 2 : 1) * (inputs[0] ? elementCount(inputs[0].shape) : 0), inputs, outputs),
  evaluate(inputs, [x], { repeat }) {
    if (!x) return;
    const y = operand(inputs, 0).values;
    const weights = inputs[2]?.values;
    const width = x.shape[1];
    const sums = new Float64Array(x.values.length);
    forEachRow(operand(inputs, 1), { repeat, width }, ({ choice, row, token }) => {
      const weight = weights?.[choice] ?? 1;
      for (let i = 0; i < width; i++) sums[token + i] += weight * y[row + i];
    });
    store(x, sums);
  },
});

/**
 * The way back: x[t] = Σ of the `repeat` rows of token t, each times its weight where weights[T, repeat] are given (row r
 * that of choice order[r]). y[R, D], float32 or bfloat16 → x[R / repeat, D] float32.
 */
export function scatterRows(
  y: Tensor,
  order: Tensor,
  weights: Tensor | undefined,
  { repeat }: RowsOptions,
): Tensor {
  return graphOf([y, order]).apply(scatterRowsOperation, [y, order, weights], { repeat })[0];
}

const scatterRowsBackwardOperation = defineOperation<StoredRows>({
  name: 'scatterRowsBackward',
  infer(inputs, { repeat, dtype }, fail) {
    const dx = requireInput(inputs, 3, 'dx', FLOATS, fail);
    const { rows, width } = checkTokens(dx, 'dx', inputs, repeat, fail);
    const y = requireInput(inputs, 0, 'y', FLOATS, fail);
    requireShape(y, [rows, width], 'y', fail);
    const weights = requireInput(inputs, 2, 'weights', FLOAT32, fail);
    requireShape(weights, [rows / repeat, repeat], 'weights', fail);
    requireFloatType(dtype, fail);
    return [
      { shape: [rows, width], dtype },
      { shape: [rows / repeat, repeat], dtype: 'float32' },
    ];
  },
  cost: (inputs, outputs) => elementwiseCost(3 * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [dy, dWeights], { repeat }) {
    const y = operand(inputs, 0);
    const weights = operand(inputs, 2).values;
    const dx = operand(inputs, 3).values;
    const width = y.shape[1];
    forEachRow(operand(inputs, 1), { repeat, width }, ({ choice, row, token }) => {
      let sum = 0;
      for (let i = 0; i < width; i++) {
        sum += dx[token + i] * y.values[row + i];
        if (dy) dy.values[row + i] = weights[choice] * dx[token + i];
      }
      if (dWeights) dWeights.values[choice] = sum;
    });
    if (dy) roundStored(dy);
  },
  storableOutputs: [0],
});

/** The gradients of `scatterRows` with weights: dy[R, D], stored as `dtype` says, and dWeights[T, repeat]. */
export function scatterRowsBackward(
  y: Tensor,
  order: Tensor,
  weights: Tensor,
  dx: Tensor,
  { repeat, dtype = 'float32' }: RowsOptions & Stored,
): { dy: Tensor; dWeights: Tensor } {
  const [dy, dWeights] = graphOf([y, order]).apply(scatterRowsBackwardOperation, [y, order, weights, dx], {
    repeat,
    dtype,
  });
  return { dy, dWeights };
}
