/** Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467). */
import type { Tensor, TensorType } from '../graph/index.ts';
import { defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import type { Stored } from './elementwise.ts';
import { operand, roundStored, rowCount } from './plain.ts';
import type { Fail, FloatType } from './require.ts';
import {
  FLOAT32,
  FLOATS,
  lastAxis,
  optionalInput,
  requireFinite,
  requireFloatType,
  requireInput,
  requireShape,
} from './require.ts';

function requireNormInputs(
  inputs: readonly (TensorType | undefined)[],
  epsilon: number,
  fail: Fail,
): TensorType {
  const x = requireInput(inputs, 0, 'x', FLOATS, fail);
  const width = lastAxis(x, 'x', fail);
  const weight = optionalInput(inputs, 1, 'weight', FLOAT32, fail);
  if (weight) requireShape(weight, [width], 'weight', fail);
  requireFinite(epsilon, 'epsilon', fail);
  return x;
}

type NormAttributes = { readonly epsilon: number; readonly dtype: FloatType };

const rmsNormOperation = defineOperation<NormAttributes>({
  name: 'rmsNorm',
  storableOutputs: [0],
  infer(inputs, { epsilon, dtype }, fail) {
    const x = requireNormInputs(inputs, epsilon, fail);
    requireFloatType(dtype, fail);
    return [{ shape: x.shape, dtype }];
  },
  gradient({ inputs: [x, weight], attributes: { epsilon } }, [dy]) {
    if (!x || !dy) return [];
    const { dx, dWeight } = rmsNormBackward(x, weight, dy, { epsilon });
    return [dx, weight && dWeight];
  },
  cost: (inputs, outputs) => elementwiseCost(4 * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [y], { epsilon }) {
    if (!y) return;
    const x = operand(inputs, 0);
    const weight = inputs[1]?.values;
    const width = x.shape[x.shape.length - 1];
    for (let row = 0; row < rowCount(x.shape); row++) {
      const values = x.values.subarray(row * width, (row + 1) * width);
      const scale = inverseRootMeanSquare(values, epsilon);
      for (let i = 0; i < width; i++) y.values[row * width + i] = values[i] * scale * (weight?.[i] ?? 1);
    }
    roundStored(y);
  },
});

export interface NormOptions extends Stored {
  readonly epsilon: number;
}

/**
 * x · (mean over the last axis of x² + ε)^(−½) · weight, for x[…, D] float32 or bfloat16 and weight[D], which may be
 * absent. Statistics are float32.
 */
export function rmsNorm(x: Tensor, weight: Tensor | undefined, options: NormOptions): Tensor {
  const { epsilon, dtype = 'float32' } = options;
  return graphOf([x]).apply(rmsNormOperation, [x, weight], { epsilon, dtype })[0];
}

type BackwardAttributes = { readonly epsilon: number };

const rmsNormBackwardOperation = defineOperation<BackwardAttributes>({
  name: 'rmsNormBackward',
  addends: [[0, 3]],
  lowCopies: [[0, 2]],
  inPlace: [
    [0, 3],
    [0, 2],
    [0, 0],
  ],
  infer(inputs, { epsilon }, fail) {
    const x = requireNormInputs(inputs, epsilon, fail);
    const dy = requireInput(inputs, 2, 'dy', FLOATS, fail);
    requireShape(dy, x.shape, 'dy', fail);
    const addend = optionalInput(inputs, 3, 'addend', FLOAT32, fail);
    if (addend) requireShape(addend, x.shape, 'addend', fail);
    return [
      { shape: x.shape, dtype: 'float32' },
      { shape: x.shape.slice(-1), dtype: 'float32' },
      { shape: x.shape, dtype: 'bfloat16' },
    ];
  },
  // Bytes without the rounded copy, which few calls write.
  cost: (inputs, outputs) =>
    elementwiseCost(11 * elementCount(outputs[0].shape), inputs, outputs.slice(0, 2)),
  evaluate(inputs, [dx, dWeight, dxLow], { epsilon }) {
    const x = operand(inputs, 0);
    const weight = inputs[1]?.values;
    const dy = operand(inputs, 2);
    const addend = inputs[3]?.values;
    const width = x.shape[x.shape.length - 1];
    const weightSums = new Float64Array(width);
    for (let row = 0; row < rowCount(x.shape); row++) {
      const offset = row * width;
      const values = x.values.subarray(offset, offset + width);
      const scale = inverseRootMeanSquare(values, epsilon);
      // With x̂ = x · scale and g = dy · weight: dx = scale · (g − x̂ · mean(g · x̂)).
      let projection = 0;
      for (let i = 0; i < width; i++) {
        const normalised = values[i] * scale;
        weightSums[i] += dy.values[offset + i] * normalised;
        projection += dy.values[offset + i] * (weight?.[i] ?? 1) * normalised;
      }
      for (let i = 0; i < width; i++) {
        const g = dy.values[offset + i] * (weight?.[i] ?? 1);
        const slope = scale * (g - (values[i] * scale * projection) / width) + (addend?.[offset + i] ?? 0);
        if (dx) dx.values[offset + i] = slope;
        if (dxLow) dxLow.values[offset + i] = slope;
      }
    }
    if (dxLow) roundStored(dxLow);
    dWeight?.values.set(weightSums);
  },
});

export interface NormBackwardOptions {
  readonly epsilon: number;
  /** The shape of x, float32, added to dx: what other readers of x contribute to its gradient. */
  readonly addend?: Tensor | undefined;
}

/**
 * The gradients of `rmsNorm`; statistics are recomputed. `dWeight` is defined without a weight too (as for ones); `dxLow` is
 * dx in bfloat16.
 */
export function rmsNormBackward(
  x: Tensor,
  weight: Tensor | undefined,
  dy: Tensor,
  { epsilon, addend }: NormBackwardOptions,
): { dx: Tensor; dWeight: Tensor; dxLow: Tensor } {
  const outputs = graphOf([x]).apply(rmsNormBackwardOperation, [x, weight, dy, addend], { epsilon });
  return { dx: outputs[0], dWeight: outputs[1], dxLow: outputs[2] };
}

function inverseRootMeanSquare(values: ArrayLike<number>, epsilon: number): number {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i] * values[i];
  return 1 / Math.sqrt(squares / values.length + epsilon);
}
