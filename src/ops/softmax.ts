/** The softmax over the last axis, as routers use it. Attention and the loss have their own, fused. */
import type { Tensor } from '../graph/index.ts';
import { defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import { operand, rowCount } from './plain.ts';
import { FLOAT32, lastAxis, requireInput, requireShape } from './require.ts';

const softmaxOperation = defineOperation({
  name: 'softmax',
  infer(inputs, _, fail) {
    const x = requireInput(inputs, 0, 'x', FLOAT32, fail);
    lastAxis(x, 'x', fail);
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  gradient: ({ outputs: [y] }, [dy]) => [dy && softmaxBackward(y, dy)],
  cost: (inputs, outputs) => elementwiseCost(5 * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [y]) {
    if (!y) return;
    const x = operand(inputs, 0);
    const width = x.shape[x.shape.length - 1];
    for (let row = 0; row < rowCount(x.shape); row++) {
      const values = x.values.subarray(row * width, (row + 1) * width);
      let largest = Number.NEGATIVE_INFINITY;
      for (const value of values) largest = Math.max(largest, value);
      let total = 0;
      for (const value of values) total += Math.exp(value - largest);
      for (let i = 0; i < width; i++) y.values[row * width + i] = Math.exp(values[i] - largest) / total;
    }
  },
});

/** x[…, E] → exp(x) / Σ exp(x) over the last axis, float32; without overflow for any finite x. */
export function softmax(x: Tensor): Tensor {
  return x.graph.apply(softmaxOperation, [x], {})[0];
}

const softmaxBackwardOperation = defineOperation({
  name: 'softmaxBackward',
  infer(inputs, _, fail) {
    const y = requireInput(inputs, 0, 'y', FLOAT32, fail);
    lastAxis(y, 'y', fail);
    requireShape(requireInput(inputs, 1, 'dy', FLOAT32, fail), y.shape, 'dy', fail);
    return [{ shape: y.shape, dtype: 'float32' }];
  },
  cost: (inputs, outputs) => elementwiseCost(4 * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [dx]) {
    if (!dx) return;
    const y = operand(inputs, 0);
    const dy = operand(inputs, 1).values;
    const width = y.shape[y.shape.length - 1];
    for (let start = 0; start < y.values.length; start += width) {
      let common = 0;
      for (let i = start; i < start + width; i++) common += y.values[i] * dy[i];
      for (let i = start; i < start + width; i++) dx.values[i] = y.values[i] * (dy[i] - common);
    }
  },
});

/** The gradient of `softmax` from its result: y ⊙ (dy − Σ y·dy). */
export function softmaxBackward(y: Tensor, dy: Tensor): Tensor {
  return graphOf([y, dy]).apply(softmaxBackwardOperation, [y, dy], {})[0];
}
