/**
 * Causal depthwise convolution: the short filter in front of a selective scan (Gu and Dao 2023, section 3.4). It never
 * reads across a document boundary, and carries its last K − 1 inputs from one piece of a sequence to the next.
 */
import type { FloatValues, Operand, Tensor, TensorType } from '../graph/index.ts';
import { defineOperation } from '../graph/index.ts';
import { activations } from './activations.ts';
import { traffic } from './cost.ts';
import type { Fail, FloatType } from './require.ts';
import { FLOAT32, FLOATS, INT32 } from './require.ts';
import {
  expectStateDocument,
  expectType,
  floatsOf,
  optionalFloats,
  sizesOf,
  store,
  storedType,
} from './sequence.ts';
import type { WindowedInput } from './window.ts';
import { readWindowed, startWindowedGradient } from './window.ts';

export interface ConvolutionInputs {
  /** [B, L, E]. */
  readonly x: Tensor;
  /** [E, K] with K from 2 to 16; the last tap is lag 0. */
  readonly weight: Tensor;
  /** [E]. */
  readonly bias?: Tensor | undefined;
  /** [B, L] int32. */
  readonly documents?: Tensor | undefined;
  /** [B, K − 1, E]: the inputs before the first position, oldest first. */
  readonly window?: Tensor | undefined;
  /** [B] int32: the document of the window's last input; needed with `documents` and `window`. */
  readonly document?: Tensor | undefined;
}

export interface ConvolutionOptions {
  readonly activation?: 'none' | 'silu';
  /** How the first output is stored. */
  readonly dtype?: FloatType;
}

type ConvolutionAttributes = { readonly activation: 'none' | 'silu'; readonly dtype: FloatType };

interface Sizes {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
  readonly taps: number;
}

/** Checks the first six operands, which forward and backward have in common. */
function checkOperands(
  inputs: readonly (TensorType | undefined)[],
  { activation }: ConvolutionAttributes,
  fail: Fail,
): Sizes {
  const [x, weight, bias, documents, window, document] = inputs;
  const [batch, length, channels] = sizesOf(x, 'x', 'B, L, E', fail);
  const taps = sizesOf(weight, 'weight', 'E, K', fail)[1];
  if (taps < 2 || taps > 16) return fail(`the filter has ${taps} taps; 2 to 16 are possible.`);
  if (activation !== 'none' && activation !== 'silu') {
    return fail(`the attribute activation must be 'none' or 'silu', not '${String(activation)}'.`);
  }
  expectType(x, 'x', [batch, length, channels], FLOATS, fail);
  expectType(weight, 'weight', [channels, taps], FLOAT32, fail);
  expectType(bias, 'bias', [channels], FLOAT32, fail);
  expectType(documents, 'documents', [batch, length], INT32, fail);
  expectType(window, 'window', [batch, taps - 1, channels], FLOAT32, fail);
  expectType(document, 'document', [batch], INT32, fail);
  expectStateDocument(window, documents, document, 'window', fail);
  return { batch, length, channels, taps };
}

/** Multiply-adds of one pass over the filter. */
function products(inputs: readonly (TensorType | undefined)[]): { outputs: number; products: number } {
  const [x, weight] = inputs;
  const [batch, length, channels] = x?.shape ?? [];
  const outputs = batch * length * channels;
  return { outputs, products: outputs * (weight?.shape[1] ?? 0) };
}

/** The operands as the plain meaning reads them. */
interface Operands extends WindowedInput {
  readonly taps: number;
  readonly weight: FloatValues;
  /** The filtered input before the activation. */
  filtered(b: number, t: number, e: number): number;
}

function readOperands([x, filter, shift, documents, window, document]: readonly (
  | Operand
  | undefined
)[]): Operands {
  const taps = filter?.shape[1] ?? 0;
  const weight = floatsOf(filter, 'weight');
  const bias = optionalFloats(shift, 'bias');
  const input = readWindowed(x, taps, { documents, window, document });
  const filtered = (b: number, t: number, e: number): number => {
    let sum = bias ? bias[e] : 0;
    for (let tap = 0; tap < taps; tap++) {
      const s = t - (taps - 1) + tap;
      if (input.sees(b, s, t)) sum += weight[e * taps + tap] * input.at(b, s, e);
    }
    return sum;
  };
  return { ...input, taps, weight, filtered };
}

const causalConvolutionBackwardOperation = defineOperation<ConvolutionAttributes>({
  name: 'causalConvolutionBackward',
  infer(inputs, attributes, fail) {
    const { batch, length, channels, taps } = checkOperands(inputs, attributes, fail);
    const [, , , , , , dy, dWindow] = inputs;
    if (!dy && !dWindow) return fail(`neither 'dy' nor 'dWindow' is given.`);
    expectType(dy, 'dy', [batch, length, channels], FLOATS, fail);
    expectType(dWindow, 'dWindow', [batch, taps - 1, channels], FLOAT32, fail);
    return [
      storedType([batch, length, channels], attributes.dtype, fail),
      { shape: [channels, taps], dtype: 'float32' },
      { shape: [channels], dtype: 'float32' },
      { shape: [batch, taps - 1, channels], dtype: 'float32' },
    ];
  },
  cost(inputs, outputs, { activation }) {
    const count = products(inputs);
    return {
      model: 0,
      // The filtered input again (for the activation's slope), dx and dWeight.
      executed: (activation === 'none' ? 4 : 6) * count.products,
      elementwise: activation === 'none' ? 0 : count.outputs,
      bytes: traffic(inputs, outputs),
    };
  },
  evaluate(inputs, outputs, { activation }) {
    const operands = readOperands(inputs);
    const { batch, length, channels, taps, weight, sees, at, filtered } = operands;
    const dy = optionalFloats(inputs[6], 'dy');
    const gradient = startWindowedGradient(operands, taps, optionalFloats(inputs[7], 'dWindow'));
    const dWeight = new Float64Array(channels * taps);
    const dBias = new Float64Array(channels);
    for (let b = 0; dy && b < batch; b++) {
      for (let e = 0; e < channels; e++) {
        for (let t = 0; t < length; t++) {
          const slope = activation === 'silu' ? activations.silu.derivative(filtered(b, t, e)) : 1;
          const dFiltered = dy[(b * length + t) * channels + e] * slope;
          dBias[e] += dFiltered;
          for (let tap = 0; tap < taps; tap++) {
            const s = t - (taps - 1) + tap;
            if (!sees(b, s, t)) continue;
            dWeight[e * taps + tap] += dFiltered * at(b, s, e);
            gradient.add(b, s, e, dFiltered * weight[e * taps + tap]);
          }
        }
      }
    }
    store(outputs[0], gradient.x);
    store(outputs[1], dWeight);
    store(outputs[2], dBias);
    store(outputs[3], gradient.window);
  },
  storableOutputs: [0],
});

const causalConvolutionOperation = defineOperation<ConvolutionAttributes>({
  name: 'causalConvolution',
  infer(inputs, attributes, fail) {
    const { batch, length, channels, taps } = checkOperands(inputs, attributes, fail);
    return [
      storedType([batch, length, channels], attributes.dtype, fail),
      { shape: [batch, taps - 1, channels], dtype: 'float32' },
      { shape: [batch], dtype: 'int32' },
    ];
  },
  gradient({ inputs, attributes }, [dy, dNextWindow]) {
    const [x, weight, bias, documents, window, document] = inputs;
    if (!x || !weight || (!dy && !dNextWindow)) return inputs.map(() => undefined);
    const { dx, dWeight, dBias, dWindow } = causalConvolutionBackward(
      { x, weight, bias, documents, window, document, dy, dWindow: dNextWindow },
      { activation: attributes.activation },
    );
    return [dx, dWeight, bias && dBias, undefined, window && dWindow, undefined];
  },
  cost(inputs, outputs, { activation }) {
    const count = products(inputs);
    const model = 2 * count.products;
    const elementwise = activation === 'none' ? 0 : count.outputs;
    return { model, executed: model, elementwise, bytes: traffic(inputs, outputs) };
  },
  evaluate(inputs, outputs, { activation }) {
    const { batch, length, channels, filtered, nextWindow, nextDocument } = readOperands(inputs);
    const y = new Float64Array(batch * length * channels);
    for (let b = 0; b < batch; b++) {
      for (let e = 0; e < channels; e++) {
        for (let t = 0; t < length; t++) {
          const value = filtered(b, t, e);
          y[(b * length + t) * channels + e] = activation === 'silu' ? activations.silu.value(value) : value;
        }
      }
    }
    store(outputs[0], y);
    store(outputs[1], nextWindow());
    store(outputs[2], nextDocument());
  },
  inPlace: [
    [1, 4],
    [2, 5],
  ],
  storableOutputs: [0],
});

/**
 * y[b, t, e] = activation(bias[e] + Σ_k weight[e, k] · x[b, t − (K − 1) + k, e]), where inputs of other documents count
 * as zero and those before the row come from `window`. `y` is [B, L, E]; `window` [B, K − 1, E] and `document` [B] are
 * the state after the last position, with zeros for inputs of other documents than the last one (document 0 when the
 * row has no documents).
 */
export function causalConvolution(
  inputs: ConvolutionInputs,
  options: ConvolutionOptions = {},
): { y: Tensor; window: Tensor; document: Tensor } {
  const [y, window, document] = inputs.x.graph.apply(
    causalConvolutionOperation,
    [inputs.x, inputs.weight, inputs.bias, inputs.documents, inputs.window, inputs.document],
    { activation: options.activation ?? 'none', dtype: options.dtype ?? 'float32' },
  );
  return { y, window, document };
}

export interface ConvolutionBackwardInputs extends ConvolutionInputs {
  /** [B, L, E]. This, the gradient of the new window, or both. */
  readonly dy?: Tensor | undefined;
  readonly dWindow?: Tensor | undefined;
}

/** Gradients of input, filter, bias and old window; those of operands that are absent have no meaning. */
export function causalConvolutionBackward(
  inputs: ConvolutionBackwardInputs,
  options: ConvolutionOptions = {},
): { dx: Tensor; dWeight: Tensor; dBias: Tensor; dWindow: Tensor } {
  const { x, weight, bias, documents, window, document, dy } = inputs;
  const [dx, dWeight, dBias, dWindow] = x.graph.apply(
    causalConvolutionBackwardOperation,
    [x, weight, bias, documents, window, document, dy, inputs.dWindow],
    { activation: options.activation ?? 'none', dtype: options.dtype ?? 'float32' },
  );
  return { dx, dWeight, dBias, dWindow };
}
