/** The matrix product in which every expert has rows and a weight of its own. The groups are known at run time only. */
import type { Operand, Tensor, TensorType } from '../graph/index.ts';
import { BraidError, defineOperation, graphOf } from '../graph/index.ts';
import { traffic } from './cost.ts';
import type { Stored } from './elementwise.ts';
import { operand } from './plain.ts';
import { productOfRows, transposed } from './products.ts';
import type { Fail, FloatType } from './require.ts';
import { FLOATS, INT32, requireFloatType, requireInput, requireRank, requireShape } from './require.ts';
import { store } from './sequence.ts';
import { cast } from './tensor.ts';

interface Sizes {
  readonly rows: number;
  readonly experts: number;
  readonly n: number;
  readonly k: number;
}

/** Checks the first three operands, which forward and backward have in common. */
function checkOperands(inputs: readonly (TensorType | undefined)[], fail: Fail): Sizes {
  const x = requireInput(inputs, 0, 'x', FLOATS, fail);
  const w = requireInput(inputs, 1, 'w', FLOATS, fail);
  const offsets = requireInput(inputs, 2, 'offsets', INT32, fail);
  requireRank(x, 'x', '[R, K]', 2, fail);
  requireRank(w, 'w', '[E, N, K]', 3, fail);
  const [rows, k] = x.shape;
  const [experts, n] = w.shape;
  requireShape(w, [experts, n, k], 'w', fail);
  requireShape(offsets, [experts + 1], 'offsets', fail);
  if (x.dtype !== w.dtype) return fail("'x' and 'w' must both be float32 or both be bfloat16; cast one.");
  return { rows, experts, n, k };
}

function sizesOf([x, w]: readonly (TensorType | undefined)[]): Sizes {
  const [rows, k] = x?.shape ?? [];
  const [experts, n] = w?.shape ?? [];
  return { rows, experts, n, k };
}

/** Calls `visit` for every expert that has rows, with its first row and the one after its last. */
function forEachGroup(
  offsets: Operand,
  { rows, experts }: Sizes,
  visit: (expert: number, start: number, end: number) => void,
): void {
  const { values } = offsets;
  const ordered = values.every((value: number, i: number) => i === 0 || value >= values[i - 1]);
  if (values[0] !== 0 || values[experts] !== rows || !ordered) {
    throw new BraidError(
      'data',
      `groupedMatmul: the offsets must rise from 0 to the ${rows} rows: ${values}.`,
    );
  }
  for (let expert = 0; expert < experts; expert++) {
    if (values[expert + 1] > values[expert]) visit(expert, values[expert], values[expert + 1]);
  }
}

const groupedMatmulOperation = defineOperation<{ readonly dtype: FloatType }>({
  name: 'groupedMatmul',
  lowPrecisionInputs: [0, 1],
  storableOutputs: [0],
  infer(inputs, { dtype }, fail) {
    const { rows, n } = checkOperands(inputs, fail);
    requireFloatType(dtype, fail);
    return [{ shape: [rows, n], dtype }];
  },
  gradient({ inputs: [x, w, offsets] }, [dy]) {
    if (!x || !w || !offsets || !dy) return [];
    // Both backward products take the dtype of the forward one.
    const low = dy.dtype === x.dtype ? dy : cast(dy, x.dtype);
    const { dx, dw } = groupedMatmulBackward(x, w, offsets, low);
    return [dx, dw, undefined];
  },
  cost(inputs, outputs) {
    const { rows, n, k } = sizesOf(inputs);
    const flops = 2 * rows * n * k;
    return { model: flops, executed: flops, elementwise: 0, bytes: traffic(inputs, outputs) };
  },
  evaluate(inputs, [y]) {
    if (!y) return;
    const sizes = sizesOf(inputs);
    const { rows, n, k } = sizes;
    const x = operand(inputs, 0).values;
    const w = operand(inputs, 1).values;
    const result = new Float64Array(rows * n);
    forEachGroup(operand(inputs, 2), sizes, (expert, start, end) => {
      const weight = w.subarray(expert * n * k, (expert + 1) * n * k);
      const own = result.subarray(start * n, end * n);
      productOfRows(x.subarray(start * k, end * k), weight, own, end - start, n, k);
    });
    store(y, result);
  },
});

/**
 * y[r] = w[e] · x[r] for the rows offsets[e] ≤ r < offsets[e + 1] of every expert e: x[R, K] and w[E, N, K], both float32
 * or both bfloat16, offsets[E + 1] int32 from 0 to R → y[R, N], accumulated in float32.
 */
export function groupedMatmul(
  x: Tensor,
  w: Tensor,
  offsets: Tensor,
  { dtype = 'float32' }: Stored = {},
): Tensor {
  return graphOf([x, w]).apply(groupedMatmulOperation, [x, w, offsets], { dtype })[0];
}

const groupedMatmulBackwardOperation = defineOperation({
  name: 'groupedMatmulBackward',
  lowPrecisionInputs: [0, 1, 3],
  infer(inputs, _, fail) {
    const { rows, experts, n, k } = checkOperands(inputs, fail);
    const dy = requireInput(inputs, 3, 'dy', FLOATS, fail);
    requireShape(dy, [rows, n], 'dy', fail);
    if (dy.dtype !== inputs[0]?.dtype) return fail("'dy' must have the dtype of 'x' and 'w'; cast it.");
    return [
      { shape: [rows, k], dtype: 'float32' },
      { shape: [experts, n, k], dtype: 'float32' },
    ];
  },
  cost(inputs, outputs) {
    const { rows, n, k } = sizesOf(inputs);
    return { model: 0, executed: 4 * rows * n * k, elementwise: 0, bytes: traffic(inputs, outputs) };
  },
  evaluate(inputs, [dx, dw]) {
    const sizes = sizesOf(inputs);
    const { rows, experts, n, k } = sizes;
    const x = operand(inputs, 0).values;
    const w = operand(inputs, 1).values;
    const dy = operand(inputs, 3).values;
    const inputGradient = new Float64Array(rows * k);
    const weightGradient = new Float64Array(experts * n * k);
    forEachGroup(operand(inputs, 2), sizes, (expert, start, end) => {
      const count = end - start;
      const own = dy.subarray(start * n, end * n);
      const weight = transposed(w.subarray(expert * n * k, (expert + 1) * n * k), n, k);
      productOfRows(own, weight, inputGradient.subarray(start * k, end * k), count, k, n);
      const tokens = transposed(x.subarray(start * k, end * k), count, k);
      const sum = weightGradient.subarray(expert * n * k, (expert + 1) * n * k);
      productOfRows(transposed(own, count, n), tokens, sum, n, k, count);
    });
    store(dx, inputGradient);
    store(dw, weightGradient);
  },
});

/** The gradients of `groupedMatmul`, float32: dx[R, K], and dw[E, N, K], zero for experts without rows. */
export function groupedMatmulBackward(
  x: Tensor,
  w: Tensor,
  offsets: Tensor,
  dy: Tensor,
): { dx: Tensor; dw: Tensor } {
  const [dx, dw] = graphOf([x, w]).apply(groupedMatmulBackwardOperation, [x, w, offsets, dy], {});
  return { dx, dw };
}
