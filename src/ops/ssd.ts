/**
 * The scan of Mamba-2, state-space duality (Dao and Gu 2024, arXiv:2405.21060, sections 5 and 6): one decay per head, so
 * that a kernel can work by chunks with matrix products. The plain meaning is the recurrence. It starts from zero at
 * every document, and carries its state from one piece of a sequence to the next.
 */
import type { Tensor } from '../graph/index.ts';
import { defineOperation } from '../graph/index.ts';
import { traffic } from './cost.ts';
import { chunkCount, runRecurrence } from './recurrence.ts';
import type { FloatType } from './require.ts';
import { forwardOperands, selectiveGradient } from './selectiveOperands.ts';
import { store, storedType } from './sequence.ts';
import { ssdBackward } from './ssdBackward.ts';
import type { SsdAttributes, SsdInputs } from './ssdOperands.ts';
import { checkSsd, chunkPairs, readSsd, ssdRecurrence, ssdSizes, weighedPairs } from './ssdOperands.ts';

export type { SsdBackwardInputs } from './ssdBackward.ts';
export { ssdBackward } from './ssdBackward.ts';
export type { SsdInputs };

export interface SsdOptions {
  /** How many positions are worked on together; 64 when not given. */
  readonly chunk?: number;
  /** Bounds of Δ after the softplus; without them it is not bounded. */
  readonly dtLow?: number | undefined;
  readonly dtHigh?: number | undefined;
  /** How the first output is stored. */
  readonly dtype?: FloatType;
}

const ssdOperation = defineOperation<SsdAttributes>({
  name: 'ssd',
  infer(inputs, attributes, fail) {
    const { batch, length, heads, headSize, states } = checkSsd(inputs, attributes, fail);
    const chunks = chunkCount(length, attributes.chunk);
    return [
      storedType([batch, length, heads, headSize], attributes.dtype, fail),
      { shape: [batch, chunks, heads, headSize, states], dtype: 'float32' },
      { shape: [batch, heads, headSize, states], dtype: 'float32' },
      { shape: [batch], dtype: 'int32' },
    ];
  },
  gradient(call, gradients) {
    const { chunk, dtLow, dtHigh } = call.attributes;
    return selectiveGradient('ssd', call, gradients, (inputs) =>
      ssdBackward(inputs, { chunk, dtLow, dtHigh }),
    );
  },
  cost(inputs, outputs, { chunk }) {
    const sizes = ssdSizes(inputs);
    const { batch, length, heads, headSize, groups, states } = sizes;
    const tokens = batch * length;
    const numbers = heads * headSize;
    const pairs = chunkPairs(sizes, chunk);
    const weighed = weighedPairs(sizes, chunk);
    return {
      model: tokens * numbers * (9 * states + 2),
      // Within chunks C·B per group and the weighted sum of x per head; between chunks the states in and out.
      executed: 2 * pairs * groups * states + 2 * weighed * numbers + tokens * numbers * (4 * states + 2),
      // Bias, softplus and running sum of the decays; their exponential and product with every score.
      elementwise: 4 * tokens * heads + 3 * weighed * heads,
      bytes: traffic(inputs, outputs),
    };
  },
  evaluate(inputs, outputs, attributes) {
    const operands = readSsd(inputs, attributes);
    const { batch, length, heads, headSize, states: count, x, c, d, documents, group } = operands;
    const y = new Float64Array(batch * length * heads * headSize);
    const recurrence = ssdRecurrence(operands);
    const course = runRecurrence(recurrence, attributes.chunk, operands.state, (state, row, t) => {
      const token = row * length + t;
      for (let h = 0; h < heads; h++) {
        const from = group(token, h);
        for (let p = 0; p < headSize; p++) {
          const at = (token * heads + h) * headSize + p;
          let sum = d[h] * x[at];
          for (let n = 0; n < count; n++) sum += state[(h * headSize + p) * count + n] * c[from + n];
          y[at] = sum;
        }
      }
    });
    store(outputs[0], y);
    store(outputs[1], course.checkpoints);
    store(outputs[2], course.state);
    store(outputs[3], documents.last());
  },
  inPlace: [
    [2, 8],
    [3, 9],
  ],
  storableOutputs: [0],
});

/**
 * Δ = clamp(softplus(dt + dtBias), dtLow, dtHigh); per head, S_t = exp(−Δ_t e^aLog) S_{t−1} + Δ_t x_t ⊗ B_t (P × N) and
 * y_t = S_t C_t + d x_t, where head h reads group ⌊h·G/H⌋ of b and c. Returns `y` [B, L, H, P]; the `state`
 * [B, H, P, N] and its `document` [B] after the last position (0 when the row has no documents); and `checkpoints`
 * [B, ⌈L/chunk⌉, H, P, N], the states that enter positions 0, chunk, 2·chunk …, which the gradient starts from.
 */
export function ssd(
  inputs: SsdInputs,
  options: SsdOptions = {},
): { y: Tensor; checkpoints: Tensor; state: Tensor; document: Tensor } {
  const { chunk = 64, dtLow, dtHigh, dtype = 'float32' } = options;
  const [y, checkpoints, nextState, nextDocument] = inputs.x.graph.apply(
    ssdOperation,
    forwardOperands(inputs),
    { chunk, dtLow, dtHigh, dtype },
  );
  return { y, checkpoints, state: nextState, document: nextDocument };
}
