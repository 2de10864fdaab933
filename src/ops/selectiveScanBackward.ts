/**
 * The gradient of the selective scan. The states inside a chunk are computed again from the state that entered it, so
 * that only one state in `chunk` positions is kept between the passes (Gu and Dao 2023, section 3.3.2).
 */
import type { FloatValues } from '../graph/index.ts';
import { defineOperation } from '../graph/index.ts';
import { activations } from './activations.ts';
import { traffic } from './cost.ts';
import type { Around } from './recurrence.ts';
import { chunkCount, runBack } from './recurrence.ts';
import type { FloatType } from './require.ts';
import type { ScanAttributes, ScanOperands } from './scanOperands.ts';
import { checkScan, readScan, scanRecurrence, scanShapes, scanSizes, stepSize } from './scanOperands.ts';
import type { GradientSums, SelectiveBackwardInputs, SelectiveGradients } from './selectiveOperands.ts';
import {
  backwardOperands,
  checkBackward,
  namedGradients,
  readBackward,
  storeGradients,
} from './selectiveOperands.ts';
import { storedTypes } from './sequence.ts';

/** One position, backwards; the states around it are [E, N]. */
function stepBack(
  operands: ScanOperands,
  gradients: GradientSums,
  dy: FloatValues | undefined,
  { before, after, carried }: Around,
  row: number,
  t: number,
): void {
  const { length, channels, states: count, x, b, c, d, decay } = operands;
  const token = row * length + t;
  for (let e = 0; e < channels; e++) {
    const at = token * channels + e;
    const delta = stepSize(operands, at, e);
    const dOut = dy ? dy[at] : 0;
    let dDelta = 0;
    let dInput = 0; // of Δ x, the factor of B
    for (let n = 0; n < count; n++) {
      const i = e * count + n;
      const keep = Math.exp(delta * decay[i]);
      const dState = carried[i] + dOut * c[token * count + n];
      const dExponent = dState * before[i] * keep; // of Δ A
      gradients.c[token * count + n] += dOut * after[i];
      gradients.b[token * count + n] += dState * delta * x[at];
      gradients.aLog[i] += dExponent * delta * decay[i]; // dA/daLog = A
      dInput += dState * b[token * count + n];
      dDelta += dExponent * decay[i];
      carried[i] = dState * keep;
    }
    gradients.x[at] = dInput * delta + dOut * d[e];
    gradients.d[e] += dOut * x[at];
    dDelta += dInput * x[at];
    const slope = activations.softplus.derivative(operands.rawStep(at, e));
    gradients.dt[at] = dDelta * slope;
    gradients.dtBias[e] += dDelta * slope;
  }
}

const selectiveScanBackwardOperation = defineOperation<ScanAttributes>({
  name: 'selectiveScanBackward',
  infer(inputs, attributes, fail) {
    const sizes = checkScan(inputs, attributes, fail);
    const shapes = scanShapes(sizes);
    const results = checkBackward(inputs, shapes, chunkCount(sizes.length, attributes.chunk), fail);
    return [...storedTypes([shapes.x, shapes.dt], attributes, fail), ...results.slice(2)];
  },
  cost(inputs, outputs) {
    const { batch, length, channels, states } = scanSizes(inputs);
    const positions = batch * length * channels;
    return {
      model: 0,
      // Per state 5 to compute it again and 15 for the gradients; per channel 10 outside the states.
      executed: positions * (20 * states + 10),
      elementwise: 3 * positions, // bias, softplus and its slope
      bytes: traffic(inputs, outputs),
    };
  },
  evaluate(inputs, outputs, { chunk }) {
    const operands = readScan(inputs);
    const { checkpoints, dy, dNextState, sums } = readBackward(inputs);
    const dState = runBack(scanRecurrence(operands), chunk, checkpoints, dNextState, (around, row, t) =>
      stepBack(operands, sums, dy, around, row, t),
    );
    storeGradients(outputs, sums, dState);
  },
  storableOutputs: [0, 1],
});

/** `dy` is [B, L, E], `dState` [B, E, N], and `checkpoints` [B, ⌈L/chunk⌉, E, N]. */
export type ScanBackwardInputs = SelectiveBackwardInputs;

/**
 * Gradients of all float operands of the scan, in their shapes; that of the old state has no meaning when there was
 * none. `chunk` must be that of the forward call; `dtype` says how dx and dDt are stored.
 */
export function selectiveScanBackward(
  inputs: ScanBackwardInputs,
  options: { readonly chunk: number; readonly dtype?: FloatType },
): SelectiveGradients {
  const results = inputs.x.graph.apply(selectiveScanBackwardOperation, backwardOperands(inputs), {
    chunk: options.chunk,
    dtype: options.dtype ?? 'float32',
  });
  return namedGradients(results);
}
