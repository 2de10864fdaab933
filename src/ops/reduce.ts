/** Reductions to one number, and the product with one number that is a tensor. */
import type { Tensor, TensorType } from '../graph/index.ts';
import { defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import { operand } from './plain.ts';
import { FLOAT32, requireInput, requireShape } from './require.ts';
import { fill } from './tensor.ts';

const ONE: readonly TensorType[] = [{ shape: [1], dtype: 'float32' }];

const sumOperation = defineOperation({
  name: 'sum',
  infer(inputs, _, fail) {
    requireInput(inputs, 0, 'x', FLOAT32, fail);
    return [...ONE];
  },
  gradient: ({ inputs: [x] }, [dy]) => [x && dy && multiplyScalar(fill(dy, x.shape, 1), dy)],
  cost: (inputs, outputs) => elementwiseCost(sizeOf(inputs), inputs, outputs),
  evaluate(inputs, [y]) {
    if (!y) return;
    let total = 0;
    for (const value of operand(inputs, 0).values) total += value;
    y.values[0] = total;
  },
});

/** [1]: the sum of all elements. */
export function sum(x: Tensor): Tensor {
  return x.graph.apply(sumOperation, [x], {})[0];
}

const dotOperation = defineOperation({
  name: 'dot',
  infer(inputs, _, fail) {
    const a = requireInput(inputs, 0, 'a', FLOAT32, fail);
    const b = requireInput(inputs, 1, 'b', FLOAT32, fail);
    requireShape(b, a.shape, 'b', fail);
    return [...ONE];
  },
  gradient: ({ inputs: [a, b] }, [dy]) =>
    a && b && dy ? [multiplyScalar(b, dy), multiplyScalar(a, dy)] : [],
  cost: (inputs, outputs) => elementwiseCost(2 * sizeOf(inputs), inputs, outputs),
  evaluate(inputs, [y]) {
    if (!y) return;
    const a = operand(inputs, 0).values;
    const b = operand(inputs, 1).values;
    let total = 0;
    for (let i = 0; i < a.length; i++) total += a[i] * b[i];
    y.values[0] = total;
  },
});

/** [1]: Σ a · b over all elements of two tensors of one shape. */
export function dot(a: Tensor, b: Tensor): Tensor {
  return graphOf([a, b]).apply(dotOperation, [a, b], {})[0];
}

const multiplyScalarOperation = defineOperation({
  name: 'multiplyScalar',
  infer(inputs, _, fail) {
    const x = requireInput(inputs, 0, 'x', FLOAT32, fail);
    const s = requireInput(inputs, 1, 's', FLOAT32, fail);
    requireShape(s, [1], 's', fail);
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  gradient: ({ inputs: [x, s] }, [dy]) => (x && s && dy ? [multiplyScalar(dy, s), dot(x, dy)] : []),
  cost: (inputs, outputs) => elementwiseCost(sizeOf(inputs), inputs, outputs),
  evaluate(inputs, [y]) {
    if (!y) return;
    const x = operand(inputs, 0).values;
    const s = operand(inputs, 1).values[0];
    for (let i = 0; i < x.length; i++) y.values[i] = x[i] * s;
  },
});

/** x · s, where s[1] is computed at run time. */
export function multiplyScalar(x: Tensor, s: Tensor): Tensor {
  return graphOf([x, s]).apply(multiplyScalarOperation, [x, s], {})[0];
}

function sizeOf([x]: readonly (TensorType | undefined)[]): number {
  return x ? elementCount(x.shape) : 0;
}
