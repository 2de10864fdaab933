/**
 * Causal convolution with short and medium explicit filters that groups of channels share: the inner filter of Hyena-SE
 * and Hyena-MR (Ku et al. 2025, arXiv:2503.01868, sections 2 and 3). It never reads across a document boundary, and
 * carries its last K − 1 inputs from one piece of a sequence to the next.
 */
import type { Tensor } from '../graph/index.ts';
import { defineOperation } from '../graph/index.ts';
import { traffic } from './cost.ts';
import { convolveBlocked, convolveBlockedBack } from './filterConvolutionBlocked.ts';
import { convolveDirect, convolveDirectBack } from './filterConvolutionDirect.ts';
import type { FilterAlgorithm, FilterAttributes, FilterInputs } from './filterConvolutionOperands.ts';
import { checkFilter, filterProducts, readFilter } from './filterConvolutionOperands.ts';
import type { FloatType } from './require.ts';
import { FLOAT32, FLOATS } from './require.ts';
import { expectType, optionalFloats, store, storedType } from './sequence.ts';
import { startWindowedGradient } from './window.ts';

export type { FilterAlgorithm, FilterInputs };

export interface FilterOptions {
  /** Both are exact; `direct` when not given. */
  readonly algorithm?: FilterAlgorithm;
  /** Rows of a Toeplitz factor, for `blocked`; 64 when not given. */
  readonly block?: number;
  /** How the first output is stored. */
  readonly dtype?: FloatType;
}

function attributesOf({
  algorithm = 'direct',
  block = 64,
  dtype = 'float32',
}: FilterOptions): FilterAttributes {
  return { algorithm, block, dtype };
}

const filterConvolutionBackwardOperation = defineOperation<FilterAttributes>({
  name: 'filterConvolutionBackward',
  infer(inputs, attributes, fail) {
    const { batch, length, channels, groups, taps } = checkFilter(inputs, attributes, fail);
    const [, , , , , dz, dWindow] = inputs;
    if (!dz && !dWindow) return fail(`neither 'dz' nor 'dWindow' is given.`);
    expectType(dz, 'dz', [batch, length, channels], FLOATS, fail);
    expectType(dWindow, 'dWindow', [batch, taps - 1, channels], FLOAT32, fail);
    return [
      storedType([batch, length, channels], attributes.dtype, fail),
      { shape: [groups, taps], dtype: 'float32' },
      { shape: [batch, taps - 1, channels], dtype: 'float32' },
    ];
  },
  cost(inputs, outputs, attributes) {
    const { done } = filterProducts(inputs, attributes);
    return { model: 0, executed: 4 * done, elementwise: 0, bytes: traffic(inputs, outputs) };
  },
  /** Sums of the taps' gradients of every channel, in whole vectors of sixteen. */
  workspace(inputs) {
    const [, , channels] = inputs[0]?.shape ?? [];
    return 4 * 16 * Math.ceil(channels / 16) * (inputs[1]?.shape[1] ?? 0);
  },
  evaluate(inputs, outputs, { algorithm, block }) {
    const operands = readFilter(inputs);
    const { groups, taps } = operands;
    const dz = optionalFloats(inputs[5], 'dz');
    const gradient = startWindowedGradient(operands, taps, optionalFloats(inputs[6], 'dWindow'));
    let dTaps: Float64Array = new Float64Array(groups * taps);
    if (dz && algorithm === 'direct') dTaps = convolveDirectBack(operands, dz, gradient);
    if (dz && algorithm === 'blocked') dTaps = convolveBlockedBack(operands, block, dz, gradient);
    store(outputs[0], gradient.x);
    store(outputs[1], dTaps);
    store(outputs[2], gradient.window);
  },
  storableOutputs: [0],
});

const filterConvolutionOperation = defineOperation<FilterAttributes>({
  name: 'filterConvolution',
  infer(inputs, attributes, fail) {
    const { batch, length, channels, taps } = checkFilter(inputs, attributes, fail);
    return [
      storedType([batch, length, channels], attributes.dtype, fail),
      { shape: [batch, taps - 1, channels], dtype: 'float32' },
      { shape: [batch], dtype: 'int32' },
    ];
  },
  gradient({ inputs, attributes }, [dz, dNextWindow]) {
    const [u, taps, documents, window, document] = inputs;
    if (!u || !taps || (!dz && !dNextWindow)) return inputs.map(() => undefined);
    const { algorithm, block } = attributes;
    const { du, dTaps, dWindow } = filterConvolutionBackward(
      { u, taps, documents, window, document, dz, dWindow: dNextWindow },
      { algorithm, block },
    );
    return [du, dTaps, undefined, window && dWindow, undefined];
  },
  cost(inputs, outputs, attributes) {
    const { needed, done } = filterProducts(inputs, attributes);
    return { model: 2 * needed, executed: 2 * done, elementwise: 0, bytes: traffic(inputs, outputs) };
  },
  evaluate(inputs, outputs, { algorithm, block }) {
    const operands = readFilter(inputs);
    store(outputs[0], algorithm === 'direct' ? convolveDirect(operands) : convolveBlocked(operands, block));
    store(outputs[1], operands.nextWindow());
    store(outputs[2], operands.nextDocument());
  },
  inPlace: [
    [1, 3],
    [2, 4],
  ],
  storableOutputs: [0],
});

/**
 * z[b, t, channel] = Σ_τ taps[g, τ] · u[b, t − τ, channel], lag 0 first, g = ⌊channel·G/D⌋, where inputs of other
 * documents count as zero and those before the row come from `window`. `z` is [B, L, D]; `window` [B, K − 1, D] and
 * `document` [B] are the state after the last position, with zeros for inputs of other documents than the last one
 * (document 0 when the row has no documents). `blocked` pays for pieces of at least a block, not for single tokens.
 */
export function filterConvolution(
  { u, taps, documents, window, document }: FilterInputs,
  options: FilterOptions = {},
): { z: Tensor; window: Tensor; document: Tensor } {
  const [z, nextWindow, nextDocument] = u.graph.apply(
    filterConvolutionOperation,
    [u, taps, documents, window, document],
    attributesOf(options),
  );
  return { z, window: nextWindow, document: nextDocument };
}

export interface FilterBackwardInputs extends FilterInputs {
  /** [B, L, D]. This, the gradient of the new window, or both. */
  readonly dz?: Tensor | undefined;
  readonly dWindow?: Tensor | undefined;
}

/** Gradients of input, taps and old window; that of the window has no meaning when there was none. */
export function filterConvolutionBackward(
  inputs: FilterBackwardInputs,
  options: FilterOptions = {},
): { du: Tensor; dTaps: Tensor; dWindow: Tensor } {
  const { u, taps, documents, window, document, dz } = inputs;
  const [du, dTaps, dWindow] = u.graph.apply(
    filterConvolutionBackwardOperation,
    [u, taps, documents, window, document, dz, inputs.dWindow],
    attributesOf(options),
  );
  return { du, dTaps, dWindow };
}
