/**
 * The selective scan of Mamba-1 (Gu and Dao 2023, equations 2 and 4 and algorithm 2), with the usual step from A to
 * exp(Δ A) and from B to Δ B. It starts from zero at every document, and carries its state from one piece of a sequence to the next.
 */
import type { Tensor } from '../graph/index.ts';
import { defineOperation } from '../graph/index.ts';
import { traffic } from './cost.ts';
import { chunkCount, runRecurrence } from './recurrence.ts';
import type { FloatType } from './require.ts';
import type { ScanAttributes, ScanInputs } from './scanOperands.ts';
import { checkScan, readScan, scanRecurrence, scanSizes } from './scanOperands.ts';
import { forwardOperands, selectiveGradient } from './selectiveOperands.ts';
import { selectiveScanBackward } from './selectiveScanBackward.ts';
import { store, storedType } from './sequence.ts';

export type { ScanBackwardInputs } from './selectiveScanBackward.ts';
export { selectiveScanBackward } from './selectiveScanBackward.ts';
export type { ScanInputs };

export interface ScanOptions {
  /** A state is kept for the backward pass every `chunk` positions; 64 when not given. */
  readonly chunk?: number;
  /** How the first output is stored. */
  readonly dtype?: FloatType;
}

const selectiveScanOperation = defineOperation<ScanAttributes>({
  name: 'selectiveScan',
  infer(inputs, attributes, fail) {
    const { batch, length, channels, states } = checkScan(inputs, attributes, fail);
    return [
      storedType([batch, length, channels], attributes.dtype, fail),
      { shape: [batch, chunkCount(length, attributes.chunk), channels, states], dtype: 'float32' },
      { shape: [batch, channels, states], dtype: 'float32' },
      { shape: [batch], dtype: 'int32' },
    ];
  },
  gradient(call, gradients) {
    return selectiveGradient('selectiveScan', call, gradients, (inputs) =>
      selectiveScanBackward(inputs, { chunk: call.attributes.chunk }),
    );
  },
  cost(inputs, outputs) {
    const { batch, length, channels, states } = scanSizes(inputs);
    const positions = batch * length * channels;
    const model = positions * (9 * states + 2);
    // Elementwise: bias and softplus of dt.
    return { model, executed: model, elementwise: 2 * positions, bytes: traffic(inputs, outputs) };
  },
  evaluate(inputs, outputs, { chunk }) {
    const operands = readScan(inputs);
    const { batch, length, channels, states: count, x, c, d, documents, state } = operands;
    const y = new Float64Array(batch * length * channels);
    const course = runRecurrence(scanRecurrence(operands), chunk, state, (states, row, t) => {
      const token = row * length + t;
      for (let e = 0; e < channels; e++) {
        let sum = d[e] * x[token * channels + e];
        for (let n = 0; n < count; n++) sum += states[e * count + n] * c[token * count + n];
        y[token * channels + e] = sum;
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
 * Δ = softplus(dt + dtBias), A = −exp(aLog), h_t = exp(Δ_t A) ⊙ h_{t−1} + Δ_t x_t B_t, y_t = h_t · C_t + d x_t, per channel of E with
 * N states each. Returns `y` [B, L, E]; the `state` [B, E, N] and its `document` [B] after the last position (0 when
 * the row has no documents); and `checkpoints` [B, ⌈L/chunk⌉, E, N], the states that enter positions 0, chunk,
 * 2·chunk …, which the gradient starts from.
 */
export function selectiveScan(
  inputs: ScanInputs,
  options: ScanOptions = {},
): { y: Tensor; checkpoints: Tensor; state: Tensor; document: Tensor } {
  const [y, checkpoints, nextState, nextDocument] = inputs.x.graph.apply(
    selectiveScanOperation,
    forwardOperands(inputs),
    { chunk: options.chunk ?? 64, dtype: options.dtype ?? 'float32' },
  );
  return { y, checkpoints, state: nextState, document: nextDocument };
}
