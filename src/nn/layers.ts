/**
 * The small layers that all others are made of. Each declares its parameters under the layer path at hand.
 * Shapes: B batch, L length, D width.
 */
import type { Tensor } from '../graph/index.ts';
import { add, fill, matmul, multiplyChannels, rmsNorm, scale } from '../ops/index.ts';
import { adaptation } from './adapters.ts';
import type { LayerContext } from './context.ts';
import { parameter } from './context.ts';
import type { Initializer } from './parameters.ts';

export interface LinearOptions {
  /** Add `name.bias`, which starts at 0. */
  readonly bias?: boolean;
  /** What the result, bias included, is multiplied by. Default: 1. */
  readonly scale?: number;
}

/**
 * x · Wᵀ with `name.weight` [outputs, D].
 * @param x [B, L, D]
 */
export function linear(
  x: Tensor,
  name: string,
  outputs: number,
  context: LayerContext,
  options: LinearOptions = {},
): Tensor {
  const inputs = x.shape[x.shape.length - 1];
  const weight = parameter(context, `${name}.weight`, [outputs, inputs], normal(context.deviation));
  const product = matmul(x, weight, {
    transposeB: true,
    bias: bias(name, outputs, context, options),
    addend: adaptation(x, name, outputs, context),
  });
  return scaled(product, options.scale);
}

/**
 * The last projection of a layer, back to the width of the residual stream: `output.weight` [D, E] unless named
 * otherwise. Its initial weights are smaller, so that the stream does not grow with depth; `context.residual` is added.
 * Where the context asks for it, what goes in is normed or scaled first, or left without a projection.
 * @param x [B, L, E]
 */
export function outputProjection(
  x: Tensor,
  context: LayerContext,
  name: string = 'output',
  options: LinearOptions = {},
): Tensor {
  const features = x.shape[x.shape.length - 1];
  const normed = context.normalizeOutput ? norm(x, 'outputNorm', context) : x;
  const weighed = context.scaleOutput ? gain(normed, 'outputScale', context) : normed;
  if (context.projectOutput === false) return scaled(weighed, options.scale);
  const initializer = normal(context.residualDeviation);
  const weight = parameter(context, `${name}.weight`, [context.width, features], initializer);
  const { scale: factor = 1 } = options;
  const product = matmul(weighed, weight, {
    transposeB: true,
    bias: bias(name, context.width, context, options),
    // Only without a factor is the residual a part of the product.
    addend: factor === 1 ? context.residual : undefined,
  });
  if (factor === 1) return product;
  return context.residual ? add(context.residual, scale(product, factor)) : scale(product, factor);
}

/** x · factor; without an operation for a factor of 1. */
export function scaled(x: Tensor, factor: number = 1): Tensor {
  return factor === 1 ? x : scale(x, factor);
}

/** x times the learned factors `name.weight` of its features, which start at 1. */
export function gain(x: Tensor, name: string, context: LayerContext): Tensor {
  const start = { kind: 'constant', value: 1 } as const;
  return multiplyChannels(x, parameter(context, `${name}.weight`, [x.shape[x.shape.length - 1]], start));
}

/**
 * What an RMSNorm of x [B, L, D] multiplies its features by: the parameter `name` [D], or 1 + that where the context
 * says so. It is 1 at the start.
 */
export function normGain(x: Tensor, name: string, context: LayerContext): Tensor {
  const shape = [x.shape[x.shape.length - 1]];
  const start = { kind: 'constant', value: context.normOffset ? 0 : 1 } as const;
  const weight = parameter(context, name, shape, start);
  return context.normOffset ? add(weight, fill(weight, shape, 1)) : weight;
}

/** RMSNorm over the last axis with the gain `name.weight` (Zhang and Sennrich 2019). */
export function norm(x: Tensor, name: string, context: LayerContext): Tensor {
  return rmsNorm(x, normGain(x, `${name}.weight`, context), { epsilon: context.epsilon });
}

function bias(
  name: string,
  outputs: number,
  context: LayerContext,
  options: LinearOptions,
): Tensor | undefined {
  return options.bias ? parameter(context, `${name}.bias`, [outputs], zeros) : undefined;
}

const zeros: Initializer = { kind: 'constant', value: 0 };

function normal(deviation: number): Initializer {
  return { kind: 'normal', deviation };
}
