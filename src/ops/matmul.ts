/** The matrix product: the one operation that linear layers, their gradients and fusions are made of. */
import type { Tensor, TensorType } from '../graph/index.ts';
import { defineOperation, describeType, elementCount, graphOf } from '../graph/index.ts';
import { channelSum } from './channels.ts';
import { traffic } from './cost.ts';
import type { Stored } from './elementwise.ts';
import { operand, roundStored, rowCount } from './plain.ts';
import { productOfRows, transposed } from './products.ts';
import type { Fail, FloatType } from './require.ts';
import {
  FLOAT32,
  FLOATS,
  lastAxis,
  optionalInput,
  requireFloatType,
  requireInput,
  requireShape,
} from './require.ts';
import { cast } from './tensor.ts';

type MatmulAttributes = {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly dtype: FloatType;
};

/** The sizes of y[m, n] = Σ over k, all leading axes taken together. */
interface Sizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

function sizesOf(a: TensorType, b: TensorType, { transposeA, transposeB }: MatmulAttributes): Sizes {
  const lastA = a.shape[a.shape.length - 1];
  const lastB = b.shape[b.shape.length - 1];
  if (transposeA) return { m: lastA, n: lastB, k: rowCount(a.shape) };
  return { m: rowCount(a.shape), n: transposeB ? b.shape[0] : lastB, k: lastA };
}

function resultShape(a: TensorType, b: TensorType, attributes: MatmulAttributes, fail: Fail): number[] {
  const { transposeA, transposeB } = attributes;
  const lastA = lastAxis(a, 'a', fail);
  const lastB = lastAxis(b, 'b', fail);
  if (transposeA) {
    if (transposeB)
      return fail('transposeA and transposeB together are not supported; transpose one operand.');
    const equal = a.shape.length === b.shape.length && a.shape.slice(0, -1).every((n, i) => n === b.shape[i]);
    if (!equal) return fail("with transposeA, 'a' [T…, M] and 'b' [T…, N] must have the same leading axes.");
    return [lastA, lastB];
  }
  if (b.shape.length !== 2) return fail(`'b' must be a matrix, but is ${describeType(b)}.`);
  const [rows, columns] = transposeB ? [lastB, b.shape[0]] : [b.shape[0], lastB];
  if (rows !== lastA) {
    return fail(
      `the last axis of 'a' (${lastA}) must be the ${transposeB ? 'last' : 'first'} of 'b' (${rows}).`,
    );
  }
  return [...a.shape.slice(0, -1), columns];
}

const matmulOperation = defineOperation<MatmulAttributes>({
  name: 'matmul',
  lowPrecisionInputs: [0, 1],
  storableOutputs: [0],
  addends: [[0, 3]],
  infer(inputs, attributes, fail) {
    const a = requireInput(inputs, 0, 'a', FLOATS, fail);
    const b = requireInput(inputs, 1, 'b', FLOATS, fail);
    const bias = optionalInput(inputs, 2, 'bias', FLOAT32, fail);
    const addend = optionalInput(inputs, 3, 'addend', FLOAT32, fail);
    if (a.dtype !== b.dtype) return fail("'a' and 'b' must both be float32 or both be bfloat16; cast one.");
    const shape = resultShape(a, b, attributes, fail);
    if (bias) requireShape(bias, shape.slice(-1), 'bias', fail);
    if (addend) requireShape(addend, shape, 'addend', fail);
    requireFloatType(attributes.dtype, fail);
    return [{ shape, dtype: attributes.dtype }];
  },
  gradient({ inputs: [a, b, bias, addend], attributes }, [dy]) {
    if (!a || !b || !dy) return [];
    // Both backward products take the dtype of the forward one.
    const low = dy.dtype === a.dtype ? dy : cast(dy, a.dtype);
    return [...operandGradients(a, b, low, attributes), bias && channelSum(dy), addend && dy];
  },
  cost([a, b, bias, addend], [y], attributes) {
    const { m, n, k } = a && b ? sizesOf(a, b, attributes) : { m: 0, n: 0, k: 0 };
    const flops = 2 * m * n * k;
    const added = (bias ? 1 : 0) + (addend ? 1 : 0);
    return {
      model: flops,
      executed: flops,
      elementwise: added * elementCount(y.shape),
      bytes: traffic([a, b, bias, addend], [y]),
    };
  },
  evaluate(inputs, [y], attributes) {
    if (!y) return;
    const a = operand(inputs, 0);
    const b = operand(inputs, 1);
    const { m, n, k } = sizesOf(a, b, attributes);
    const rowsOfA = attributes.transposeA ? transposed(a.values, k, m) : a.values;
    const rowsOfB = attributes.transposeB ? b.values : transposed(b.values, k, n);
    // Added up before the one rounding to the stored type.
    const result = new Float64Array(m * n);
    productOfRows(rowsOfA, rowsOfB, result, m, n, k);
    const bias = inputs[2]?.values;
    if (bias) for (let i = 0; i < result.length; i++) result[i] += bias[i % n];
    const addend = inputs[3]?.values;
    if (addend) for (let i = 0; i < result.length; i++) result[i] += addend[i];
    y.values.set(result);
    roundStored(y);
  },
});

function operandGradients(
  a: Tensor,
  b: Tensor,
  dy: Tensor,
  { transposeA, transposeB }: MatmulAttributes,
): [Tensor, Tensor] {
  if (transposeA) return [matmul(b, dy, { transposeB: true }), matmul(a, dy)];
  if (transposeB) return [matmul(dy, b), matmul(dy, a, { transposeA: true })];
  return [matmul(dy, b, { transposeB: true }), matmul(a, dy, { transposeA: true })];
}

export interface MatmulOptions extends Stored {
  /** a is [T…, M] and b is [T…, N]: contracted over all leading axes, as for the gradient of a weight. */
  readonly transposeA?: boolean;
  /** b is [N, K], the layout of linear weights. */
  readonly transposeB?: boolean;
  /** [N], float32, added to every row. */
  readonly bias?: Tensor | undefined;
  /** The shape of the result, float32, added to it. */
  readonly addend?: Tensor | undefined;
}

/**
 * a[…, K] · b[K, N] → [leading axes of a…, N], both operands float32 or both bfloat16, accumulated in float32. `bias` and
 * `addend` are added before the result is rounded to `dtype`. `transposeA` and `transposeB` together are an error.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, dtype = 'float32', bias, addend } = options;
  return graphOf([a, b]).apply(matmulOperation, [a, b, bias, addend], { transposeA, transposeB, dtype })[0];
}
