/**
 * Weights of few bits: each group of 32 neighbours along the contracted axis shares a scale, and each weight is a small
 * integer times that. Made when a model is loaded for generation, where time goes into reading the weights.
 *
 * A row of K weights is stored in blocks of 64 bytes, 32 lanes of 16 bits. Lane i of a block holds weight i of each of the
 * block's groups, the first group in the lowest bits: 2 groups of 8 bits or 4 of 4 bits. Stored is the integer plus half
 * the range (128 or 8). The last block of a row may be partly empty.
 */
import type { Operand, Tensor, TensorType } from '../graph/index.ts';
import { defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { traffic } from './cost.ts';
import type { Stored } from './elementwise.ts';
import { operand, roundToBfloat16, rowCount } from './plain.ts';
import { productOfRows } from './products.ts';
import type { Fail, FloatType } from './require.ts';
import {
  FLOAT32,
  FLOATS,
  INT32,
  lastAxis,
  optionalInput,
  requireFloatType,
  requireInput,
  requireRank,
  requireShape,
} from './require.ts';
import { store } from './sequence.ts';

/** Weights that share a scale. */
export const QUANTIZED_GROUP = 32;

/** Words of 32 bits in a block. */
const BLOCK_WORDS = 16;

export type QuantizedBits = 4 | 8;

type BitsAttributes = { readonly bits: QuantizedBits };

/** The types of the packed integers and the scales of a weight [N, K]. */
export function quantizedTypes(
  [n, k]: readonly number[],
  bits: QuantizedBits,
): { packed: TensorType; scales: TensorType } {
  const blocks = Math.ceil((k * bits) / (32 * BLOCK_WORDS));
  return {
    packed: { shape: [n, blocks * BLOCK_WORDS], dtype: 'int32' },
    scales: { shape: [n, k / QUANTIZED_GROUP], dtype: 'bfloat16' },
  };
}

function requireBits(bits: number, fail: Fail): void {
  if (bits !== 4 && bits !== 8) fail(`attribute bits is ${bits}; allowed: 4 or 8.`);
}

/** Where weight `i` of a row stands: its word, and how far its bits are from the lowest. */
function placeOf(i: number, bits: QuantizedBits): { word: number; shift: number } {
  const groups = 16 / bits;
  const group = Math.floor(i / QUANTIZED_GROUP);
  const lane = i % QUANTIZED_GROUP;
  const word = Math.floor(group / groups) * BLOCK_WORDS + (lane >> 1);
  return { word, shift: (lane % 2) * 16 + (group % groups) * bits };
}

/** To the nearest integer, ties to even. */
function roundToEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * The scale of a group. 8 bits: the largest magnitude becomes 127. 4 bits: the weight of the largest magnitude becomes −8,
 * whatever its sign, so that the whole range −8 … 7 is used (the rule of llama.cpp's Q4_0).
 */
function scaleOf(group: Float32Array, bits: QuantizedBits): number {
  let largest = 0;
  for (const weight of group) if (Math.abs(weight) > Math.abs(largest)) largest = weight;
  const scale = bits === 8 ? Math.abs(largest) / 127 : largest / -8;
  return roundToBfloat16(Math.fround(scale));
}

const quantizeWeightOperation = defineOperation<BitsAttributes>({
  name: 'quantizeWeight',
  infer(inputs, { bits }, fail) {
    requireBits(bits, fail);
    const w = requireInput(inputs, 0, 'w', FLOAT32, fail);
    requireRank(w, 'w', '[N, K]', 2, fail);
    if (w.shape[1] % QUANTIZED_GROUP !== 0) {
      return fail(`the last axis of 'w' (${w.shape[1]}) must be a multiple of ${QUANTIZED_GROUP}.`);
    }
    const { packed, scales } = quantizedTypes(w.shape, bits);
    return [packed, scales];
  },
  cost(inputs, outputs) {
    return {
      model: 0,
      executed: 0,
      elementwise: 4 * elementCount(inputs[0]?.shape ?? []),
      bytes: traffic(inputs, outputs),
    };
  },
  evaluate(inputs, [packed, scales], { bits }) {
    const w = operand(inputs, 0);
    const [rows, k] = w.shape;
    const weights = Float32Array.from(w.values);
    const groups = k / QUANTIZED_GROUP;
    const words = quantizedTypes(w.shape, bits).packed.shape[1];
    const half = 2 ** (bits - 1);
    const result = new Int32Array(rows * words);
    const found = new Float64Array(rows * groups);
    for (let row = 0; row < rows; row++) {
      for (let group = 0; group < groups; group++) {
        const start = row * k + group * QUANTIZED_GROUP;
        const scale = scaleOf(weights.subarray(start, start + QUANTIZED_GROUP), bits);
        found[row * groups + group] = scale;
        for (let i = 0; i < QUANTIZED_GROUP; i++) {
          const level = scale === 0 ? 0 : roundToEven(Math.fround(weights[start + i] / scale));
          const stored = Math.max(-half, Math.min(half - 1, level)) + half;
          const { word, shift } = placeOf(group * QUANTIZED_GROUP + i, bits);
          result[row * words + word] |= stored << shift;
        }
      }
    }
    packed?.values.set(result);
    scales?.values.set(found);
  },
});

/** w[N, K] float32, K a multiple of 32 → packed integers (int32 words) and scales [N, K / 32] bfloat16. */
export function quantizeWeight(w: Tensor, { bits }: BitsAttributes): { packed: Tensor; scales: Tensor } {
  const [packed, scales] = graphOf([w]).apply(quantizeWeightOperation, [w], { bits });
  return { packed, scales };
}

/** Checks the two operands that stand for a weight, and gives its sizes. */
function weightSizes(
  inputs: readonly (TensorType | undefined)[],
  first: number,
  bits: QuantizedBits,
  fail: Fail,
): { n: number; k: number } {
  requireBits(bits, fail);
  const packed = requireInput(inputs, first, 'packed', INT32, fail);
  const scales = requireInput(inputs, first + 1, 'scales', ['bfloat16'], fail);
  requireRank(scales, 'scales', `[N, K / ${QUANTIZED_GROUP}]`, 2, fail);
  const [n, groups] = scales.shape;
  const k = groups * QUANTIZED_GROUP;
  requireShape(packed, quantizedTypes([n, k], bits).packed.shape, 'packed', fail);
  return { n, k };
}

function weightsOf(packed: Operand, scales: Operand, bits: QuantizedBits): Float64Array {
  const [n, groups] = scales.shape;
  const k = groups * QUANTIZED_GROUP;
  const words = packed.shape[1];
  const half = 2 ** (bits - 1);
  const weights = new Float64Array(n * k);
  for (let row = 0; row < n; row++) {
    for (let i = 0; i < k; i++) {
      const { word, shift } = placeOf(i, bits);
      const level = ((packed.values[row * words + word] >>> shift) & (2 * half - 1)) - half;
      weights[row * k + i] = level * scales.values[row * groups + Math.floor(i / QUANTIZED_GROUP)];
    }
  }
  return weights;
}

const dequantizeWeightOperation = defineOperation<BitsAttributes>({
  name: 'dequantizeWeight',
  infer(inputs, { bits }, fail) {
    const { n, k } = weightSizes(inputs, 0, bits, fail);
    return [{ shape: [n, k], dtype: 'float32' }];
  },
  cost(inputs, outputs) {
    return {
      model: 0,
      executed: 0,
      elementwise: elementCount(outputs[0].shape),
      bytes: traffic(inputs, outputs),
    };
  },
  evaluate(inputs, [w], { bits }) {
    store(w, weightsOf(operand(inputs, 0), operand(inputs, 1), bits));
  },
});

/** The weight [N, K] float32 that packed integers and scales stand for. */
export function dequantizeWeight(packed: Tensor, scales: Tensor, { bits }: BitsAttributes): Tensor {
  return graphOf([packed, scales]).apply(dequantizeWeightOperation, [packed, scales], { bits })[0];
}

const quantizedMatmulOperation = defineOperation<BitsAttributes & { readonly dtype: FloatType }>({
  name: 'quantizedMatmul',
  lowPrecisionInputs: [0],
  storableOutputs: [0],
  infer(inputs, { bits, dtype }, fail) {
    const a = requireInput(inputs, 0, 'a', FLOATS, fail);
    const { n, k } = weightSizes(inputs, 1, bits, fail);
    const last = lastAxis(a, 'a', fail);
    if (last !== k) return fail(`the last axis of 'a' (${last}) must be that of the weight (${k}).`);
    const shape = [...a.shape.slice(0, -1), n];
    const bias = optionalInput(inputs, 3, 'bias', FLOAT32, fail);
    const addend = optionalInput(inputs, 4, 'addend', FLOAT32, fail);
    if (bias) requireShape(bias, [n], 'bias', fail);
    if (addend) requireShape(addend, shape, 'addend', fail);
    requireFloatType(dtype, fail);
    return [{ shape, dtype }];
  },
  cost(inputs, outputs) {
    const flops = 2 * elementCount(inputs[0]?.shape ?? []) * (inputs[2]?.shape[0] ?? 0);
    const added = (inputs[3] ? 1 : 0) + (inputs[4] ? 1 : 0);
    const elementwise = added * elementCount(outputs[0].shape);
    return { model: flops, executed: flops, elementwise, bytes: traffic(inputs, outputs) };
  },
  evaluate(inputs, [y], { bits }) {
    if (!y) return;
    const a = operand(inputs, 0);
    const scales = operand(inputs, 2);
    const [m, n, k] = [rowCount(a.shape), scales.shape[0], scales.shape[1] * QUANTIZED_GROUP];
    const result = new Float64Array(m * n);
    productOfRows(a.values, weightsOf(operand(inputs, 1), scales, bits), result, m, n, k);
    const bias = inputs[3]?.values;
    const addend = inputs[4]?.values;
    for (let i = 0; i < result.length; i++) result[i] += (bias?.[i % n] ?? 0) + (addend?.[i] ?? 0);
    store(y, result);
  },
});

export interface QuantizedMatmulOptions extends Stored, BitsAttributes {
  /** [N], float32, added to every row. */
  readonly bias?: Tensor | undefined;
  /** The shape of the result, float32, added to it. */
  readonly addend?: Tensor | undefined;
}

/**
 * a[…, K] · wᵀ → […, N] for the weight w[N, K] that `packed` and `scales` stand for; a is float32 or bfloat16, sums are
 * float32. For generation: it has no gradient.
 */
export function quantizedMatmul(
  a: Tensor,
  packed: Tensor,
  scales: Tensor,
  { bits, dtype = 'float32', bias, addend }: QuantizedMatmulOptions,
): Tensor {
  const inputs = [a, packed, scales, bias, addend];
  return graphOf([a, packed, scales]).apply(quantizedMatmulOperation, inputs, { bits, dtype })[0];
}
