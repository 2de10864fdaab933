/** What follows the gradients in a training step: their norm, clipping, AdamW, accumulation. None has a gradient. */
import type { Tensor, TensorType } from '../graph/index.ts';
import { defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import { operand, roundStored } from './plain.ts';
import { FLOAT32, requireFinite, requireInput, requireShape } from './require.ts';

const ONE: readonly TensorType[] = [{ shape: [1], dtype: 'float32' }];

const gradientNormOperation = defineOperation({
  name: 'gradientNorm',
  infer(inputs, _, fail) {
    inputs.forEach((_input, index) => {
      requireInput(inputs, index, `g${index}`, FLOAT32, fail);
    });
    return [...ONE];
  },
  cost(inputs, outputs) {
    const elements = inputs.reduce((sum, input) => sum + (input ? elementCount(input.shape) : 0), 0);
    return elementwiseCost(2 * elements, inputs, outputs);
  },
  evaluate(inputs, [norm]) {
    if (!norm) return;
    let squares = 0;
    inputs.forEach((_, index) => {
      for (const value of operand(inputs, index).values) squares += value * value;
    });
    norm.values[0] = Math.sqrt(squares);
  },
});

/** [1]: √(Σ g²) over all elements of all gradients, accumulated in float64 in index order. */
export function gradientNorm(gradients: readonly Tensor[]): Tensor {
  return graphOf(gradients).apply(gradientNormOperation, gradients, {})[0];
}

const clipScaleOperation = defineOperation({
  name: 'clipScale',
  infer(inputs, _, fail) {
    ['norm', 'loss', 'maxNorm'].forEach((name, index) => {
      requireShape(requireInput(inputs, index, name, FLOAT32, fail), [1], name, fail);
    });
    return [...ONE];
  },
  cost: (inputs, outputs) => elementwiseCost(2, inputs, outputs),
  evaluate(inputs, [scale]) {
    if (!scale) return;
    const norm = operand(inputs, 0).values[0];
    const loss = operand(inputs, 1).values[0];
    const maxNorm = operand(inputs, 2).values[0];
    if (!Number.isFinite(norm) || !Number.isFinite(loss)) scale.values[0] = -1;
    else scale.values[0] = maxNorm > 0 ? Math.min(1, maxNorm / norm) : 1;
  },
});

/**
 * scale[1] = min(1, maxNorm / norm), the factor of all gradients; −1 when `norm` or `loss` is not finite, upon which
 * `adamw` changes nothing. maxNorm 0: no clipping. All inputs are [1].
 */
export function clipScale(norm: Tensor, loss: Tensor, maxNorm: Tensor): Tensor {
  return graphOf([norm]).apply(clipScaleOperation, [norm, loss, maxNorm], {})[0];
}

type AdamWAttributes = {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly decay: number;
};

const adamwOperation = defineOperation<AdamWAttributes>({
  name: 'adamw',
  inPlace: [
    [0, 0],
    [1, 2],
    [2, 3],
  ],
  infer(inputs, attributes, fail) {
    const p = requireInput(inputs, 0, 'p', FLOAT32, fail);
    ['g', 'm', 'v'].forEach((name, index) => {
      requireShape(requireInput(inputs, index + 1, name, FLOAT32, fail), p.shape, name, fail);
    });
    ['scale', 'learningRate', 'step'].forEach((name, index) => {
      requireShape(requireInput(inputs, index + 4, name, FLOAT32, fail), [1], name, fail);
    });
    for (const [name, value] of Object.entries(attributes)) requireFinite(value, name, fail);
    const updated: TensorType = { shape: p.shape, dtype: 'float32' };
    return [updated, updated, updated, { shape: p.shape, dtype: 'bfloat16' }];
  },
  cost: (inputs, outputs) => elementwiseCost(16 * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [p1, m1, v1, shadow], { beta1, beta2, epsilon, decay }) {
    const p = operand(inputs, 0).values;
    const g = operand(inputs, 1).values;
    const m = operand(inputs, 2).values;
    const v = operand(inputs, 3).values;
    const scale = operand(inputs, 4).values[0];
    const rate = operand(inputs, 5).values[0];
    const step = operand(inputs, 6).values[0];
    const skip = scale < 0;
    const correction1 = 1 - beta1 ** step;
    const correction2 = 1 - beta2 ** step;
    for (let i = 0; i < p.length; i++) {
      const gradient = g[i] * scale;
      const mean = skip ? m[i] : beta1 * m[i] + (1 - beta1) * gradient;
      const square = skip ? v[i] : beta2 * v[i] + (1 - beta2) * gradient * gradient;
      const direction = mean / correction1 / (Math.sqrt(square / correction2) + epsilon);
      const value = skip ? p[i] : p[i] * (1 - rate * decay) - rate * direction;
      if (p1) p1.values[i] = value;
      if (m1) m1.values[i] = mean;
      if (v1) v1.values[i] = square;
      if (shadow) shadow.values[i] = value;
    }
    if (shadow) roundStored(shadow);
  },
});

export interface AdamWInputs {
  /** The parameter, its gradient, and its first and second moment, all of one shape, float32. */
  readonly p: Tensor;
  readonly g: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  /** [1]: the factor of the gradient, from `clipScale`. */
  readonly scale: Tensor;
  /** [1]. */
  readonly learningRate: Tensor;
  /** [1], float32: the number of this update, counted from 1. */
  readonly step: Tensor;
}

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly decay: number;
}

/**
 * One update of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101): p ← p · (1 − lr · decay) − lr · m̂ / (√v̂ + ε). With a
 * negative `scale` nothing changes. p, m and v are written in place; `shadow` is the new parameter in bfloat16.
 */
export function adamw(
  given: AdamWInputs,
  options: AdamWOptions,
): { p: Tensor; m: Tensor; v: Tensor; shadow: Tensor } {
  const { p, g, m, v, scale, learningRate, step } = given;
  const { beta1, beta2, epsilon, decay } = options;
  const inputs = [p, g, m, v, scale, learningRate, step];
  const outputs = graphOf([p]).apply(adamwOperation, inputs, { beta1, beta2, epsilon, decay });
  return { p: outputs[0], m: outputs[1], v: outputs[2], shadow: outputs[3] };
}

const accumulateOperation = defineOperation({
  name: 'accumulate',
  inPlace: [[0, 0]],
  infer(inputs, _, fail) {
    const buffer = requireInput(inputs, 0, 'buffer', FLOAT32, fail);
    requireShape(requireInput(inputs, 1, 'g', FLOAT32, fail), buffer.shape, 'g', fail);
    requireShape(requireInput(inputs, 2, 'keep', FLOAT32, fail), [1], 'keep', fail);
    return [{ shape: buffer.shape, dtype: 'float32' }];
  },
  cost: (inputs, outputs) => elementwiseCost(elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [result]) {
    if (!result) return;
    const buffer = operand(inputs, 0).values;
    const g = operand(inputs, 1).values;
    // Not multiplied by keep: what a fresh buffer holds may be NaN.
    const keep = operand(inputs, 2).values[0] !== 0;
    for (let i = 0; i < g.length; i++) result.values[i] = keep ? buffer[i] + g[i] : g[i];
  },
});

/** buffer ← keep · buffer + g, in place; keep[1] is 0 (start anew: the buffer is not read) or 1. */
export function accumulate(buffer: Tensor, g: Tensor, keep: Tensor): Tensor {
  return graphOf([buffer, g]).apply(accumulateOperation, [buffer, g, keep], {})[0];
}
