/** Operations between a tensor x[…, D] and a vector with one number per channel [D]. */
import type { Tensor, TensorType } from '../graph/index.ts';
import { defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import type { Stored } from './elementwise.ts';
import { operand, roundStored } from './plain.ts';
import type { Fail, FloatType } from './require.ts';
import { FLOAT32, lastAxis, requireFloatType, requireInput, requireShape } from './require.ts';
import { fill } from './tensor.ts';

type Attributes = { readonly dtype: FloatType };

function inferPerChannel(
  inputs: readonly (TensorType | undefined)[],
  vector: string,
  { dtype }: Attributes,
  fail: Fail,
): TensorType[] {
  const x = requireInput(inputs, 0, 'x', FLOAT32, fail);
  const channels = requireInput(inputs, 1, vector, FLOAT32, fail);
  requireShape(channels, [lastAxis(x, 'x', fail)], vector, fail);
  requireFloatType(dtype, fail);
  return [{ shape: x.shape, dtype }];
}

const multiplyChannelsOperation = defineOperation<Attributes>({
  name: 'multiplyChannels',
  storableOutputs: [0],
  infer: (inputs, attributes, fail) => inferPerChannel(inputs, 'w', attributes, fail),
  gradient: ({ inputs: [x, w] }, [dy]) => (x && w && dy ? [multiplyChannels(dy, w), channelDot(x, dy)] : []),
  cost: (inputs, outputs) => elementwiseCost(elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [y]) {
    if (!y) return;
    const x = operand(inputs, 0).values;
    const w = operand(inputs, 1).values;
    for (let i = 0; i < y.values.length; i++) y.values[i] = x[i] * w[i % w.length];
    roundStored(y);
  },
});

/** y[…, d] = x[…, d] · w[d]. */
export function multiplyChannels(x: Tensor, w: Tensor, { dtype = 'float32' }: Stored = {}): Tensor {
  return graphOf([x, w]).apply(multiplyChannelsOperation, [x, w], { dtype })[0];
}

const addChannelsOperation = defineOperation<Attributes>({
  name: 'addChannels',
  storableOutputs: [0],
  infer: (inputs, attributes, fail) => inferPerChannel(inputs, 'b', attributes, fail),
  gradient: (_, [dy]) => (dy ? [dy, channelSum(dy)] : []),
  cost: (inputs, outputs) => elementwiseCost(elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [y]) {
    if (!y) return;
    const x = operand(inputs, 0).values;
    const b = operand(inputs, 1).values;
    for (let i = 0; i < y.values.length; i++) y.values[i] = x[i] + b[i % b.length];
    roundStored(y);
  },
});

/** y[…, d] = x[…, d] + b[d]. */
export function addChannels(x: Tensor, b: Tensor, { dtype = 'float32' }: Stored = {}): Tensor {
  return graphOf([x, b]).apply(addChannelsOperation, [x, b], { dtype })[0];
}

const channelDotOperation = defineOperation({
  name: 'channelDot',
  infer(inputs, _, fail) {
    const x = requireInput(inputs, 0, 'x', FLOAT32, fail);
    const y = requireInput(inputs, 1, 'y', FLOAT32, fail);
    requireShape(y, x.shape, 'y', fail);
    return [{ shape: [lastAxis(x, 'x', fail)], dtype: 'float32' }];
  },
  gradient: ({ inputs: [x, y] }, [dw]) =>
    x && y && dw ? [multiplyChannels(y, dw), multiplyChannels(x, dw)] : [],
  cost: (inputs, outputs) => elementwiseCost(2 * sizeOf(inputs), inputs, outputs),
  evaluate(inputs, [result]) {
    if (!result) return;
    const x = operand(inputs, 0).values;
    const y = operand(inputs, 1).values;
    const sums = new Float64Array(result.values.length);
    for (let i = 0; i < x.length; i++) sums[i % sums.length] += x[i] * y[i];
    result.values.set(sums);
  },
});

/** [D]: Σ over all leading axes of x[…, d] · y[…, d]. */
export function channelDot(x: Tensor, y: Tensor): Tensor {
  return graphOf([x, y]).apply(channelDotOperation, [x, y], {})[0];
}

const channelSumOperation = defineOperation({
  name: 'channelSum',
  infer(inputs, _, fail) {
    const x = requireInput(inputs, 0, 'x', FLOAT32, fail);
    return [{ shape: [lastAxis(x, 'x', fail)], dtype: 'float32' }];
  },
  gradient: ({ inputs: [x] }, [db]) => [x && db && addChannels(fill(db, x.shape, 0), db)],
  cost: (inputs, outputs) => elementwiseCost(sizeOf(inputs), inputs, outputs),
  evaluate(inputs, [result]) {
    if (!result) return;
    const x = operand(inputs, 0).values;
    const sums = new Float64Array(result.values.length);
    for (let i = 0; i < x.length; i++) sums[i % sums.length] += x[i];
    result.values.set(sums);
  },
});

/** [D]: Σ over all leading axes of x[…, d]. */
export function channelSum(x: Tensor): Tensor {
  return x.graph.apply(channelSumOperation, [x], {})[0];
}

function sizeOf([x]: readonly (TensorType | undefined)[]): number {
  return x ? elementCount(x.shape) : 0;
}
