/** The product with a block-diagonal matrix: every block of features has a weight of its own. */
import type { Tensor, TensorType } from '../graph/index.ts';
import { defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { channelSum } from './channels.ts';
import { traffic } from './cost.ts';
import type { Stored } from './elementwise.ts';
import { operand, rowCount } from './plain.ts';
import type { Fail, FloatType } from './require.ts';
import {
  FLOAT32,
  FLOATS,
  lastAxis,
  optionalInput,
  requireFloatType,
  requireInput,
  requireRank,
  requireShape,
} from './require.ts';
import { store } from './sequence.ts';
import { cast, reshape } from './tensor.ts';

interface Sizes {
  readonly rows: number;
  readonly blocks: number;
  readonly k: number;
  readonly n: number;
}

/** Checks the first two operands, which forward and backward have in common. */
function checkOperands(inputs: readonly (TensorType | undefined)[], fail: Fail): Sizes {
  const x = requireInput(inputs, 0, 'x', FLOATS, fail);
  const w = requireInput(inputs, 1, 'w', FLOATS, fail);
  requireRank(w, 'w', '[H, K, N]', 3, fail);
  const sizes = sizesOf(inputs);
  const { blocks, k } = sizes;
  if (lastAxis(x, 'x', fail) !== blocks * k) {
    return fail(`the last axis of 'x' must have ${blocks} blocks of ${k} features, ${blocks * k} in all.`);
  }
  if (x.dtype !== w.dtype) return fail("'x' and 'w' must both be float32 or both be bfloat16; cast one.");
  return sizes;
}

function sizesOf([x, w]: readonly (TensorType | undefined)[]): Sizes {
  const [blocks, k, n] = w?.shape ?? [];
  return { rows: rowCount(x?.shape ?? []), blocks, k, n };
}

function productFlops(inputs: readonly (TensorType | undefined)[]): number {
  const { rows, blocks, k, n } = sizesOf(inputs);
  return 2 * rows * blocks * k * n;
}

const blockMatmulOperation = defineOperation<{ readonly dtype: FloatType }>({
  name: 'blockMatmul',
  lowPrecisionInputs: [0, 1],
  storableOutputs: [0],
  infer(inputs, { dtype }, fail) {
    const { blocks, n } = checkOperands(inputs, fail);
    const bias = optionalInput(inputs, 2, 'bias', FLOAT32, fail);
    if (bias) requireShape(bias, [blocks, n], 'bias', fail);
    requireFloatType(dtype, fail);
    return [{ shape: [...(inputs[0]?.shape.slice(0, -1) ?? []), blocks * n], dtype }];
  },
  gradient({ inputs: [x, w, bias] }, [dy]) {
    if (!x || !w || !dy) return [];
    // Both backward products take the dtype of the forward one.
    const { dx, dw } = blockMatmulBackward(x, w, dy.dtype === x.dtype ? dy : cast(dy, x.dtype));
    return [dx, dw, bias && reshape(channelSum(dy), bias.shape)];
  },
  cost(inputs, outputs) {
    const flops = productFlops(inputs);
    const added = inputs[2] ? elementCount(outputs[0].shape) : 0;
    return { model: flops, executed: flops, elementwise: added, bytes: traffic(inputs, outputs) };
  },
  evaluate(inputs, [y]) {
    if (!y) return;
    const { rows, blocks, k, n } = sizesOf(inputs);
    const x = operand(inputs, 0).values;
    const w = operand(inputs, 1).values;
    const bias = inputs[2]?.values;
    const result = new Float64Array(rows * blocks * n);
    for (let row = 0; row < rows * blocks; row++) {
      const block = row % blocks;
      for (let column = 0; column < n; column++) {
        let sum = bias?.[block * n + column] ?? 0;
        for (let i = 0; i < k; i++) sum += x[row * k + i] * w[(block * k + i) * n + column];
        result[row * n + column] = sum;
      }
    }
    store(y, result);
  },
});

/**
 * y[…, h·N + n] = Σₖ x[…, h·K + k] · w[h, k, n] + bias[h, n]: x[…, H·K] and w[H, K, N], both float32 or both bfloat16,
 * bias[H, N] float32 or absent → y[…, H·N], accumulated in float32.
 */
export function blockMatmul(
  x: Tensor,
  w: Tensor,
  { bias, dtype = 'float32' }: Stored & { readonly bias?: Tensor | undefined } = {},
): Tensor {
  return graphOf([x, w]).apply(blockMatmulOperation, [x, w, bias], { dtype })[0];
}

const blockMatmulBackwardOperation = defineOperation({
  name: 'blockMatmulBackward',
  lowPrecisionInputs: [0, 1, 2],
  infer(inputs, _, fail) {
    const { blocks, n } = checkOperands(inputs, fail);
    const [x, w] = inputs;
    const dy = requireInput(inputs, 2, 'dy', FLOATS, fail);
    if (!x || !w) return [];
    requireShape(dy, [...x.shape.slice(0, -1), blocks * n], 'dy', fail);
    if (dy.dtype !== x.dtype) return fail("'dy' must have the dtype of 'x' and 'w'; cast it.");
    return [
      { shape: x.shape, dtype: 'float32' },
      { shape: w.shape, dtype: 'float32' },
    ];
  },
  cost: (inputs, outputs) => ({
    model: 0,
    executed: 2 * productFlops(inputs),
    elementwise: 0,
    bytes: traffic(inputs, outputs),
  }),
  evaluate(inputs, [dx, dw]) {
    const { rows, blocks, k, n } = sizesOf(inputs);
    const x = operand(inputs, 0).values;
    const w = operand(inputs, 1).values;
    const dy = operand(inputs, 2).values;
    const inputGradient = new Float64Array(rows * blocks * k);
    const weightGradient = new Float64Array(blocks * k * n);
    for (let row = 0; row < rows * blocks; row++) {
      const block = row % blocks;
      for (let i = 0; i < k; i++) {
        const weights = (block * k + i) * n;
        let sum = 0;
        for (let column = 0; column < n; column++) {
          const d = dy[row * n + column];
          sum += d * w[weights + column];
          weightGradient[weights + column] += d * x[row * k + i];
        }
        inputGradient[row * k + i] = sum;
      }
    }
    store(dx, inputGradient);
    store(dw, weightGradient);
  },
});

/** The gradients of `blockMatmul`, float32: those of x[…, H·K] and of w[H, K, N]. All operands have one dtype. */
export function blockMatmulBackward(x: Tensor, w: Tensor, dy: Tensor): { dx: Tensor; dw: Tensor } {
  const [dx, dw] = graphOf([x, w]).apply(blockMatmulBackwardOperation, [x, w, dy], {});
  return { dx, dw };
}
