/**
 * The gradient of the selective scan. The states inside a chunk are computed again from the state that entered it, so
 * that only one state in `chunk` positions is kept between the passes (Gu and Dao 2023, section 3.3.2).
 */
import type { FloatValues, Tensor } from '../graph/index.ts';
import { defineOperation } from '../graph/index.ts';
import { activations } from './activations.ts';
import { traffic } from './cost.ts';
import type { Around } from './recurrence.ts';
import { chunkCount, runBack } from './recurrence.ts';
import type { FloatType } from './require.ts';
import { FLOAT32, FLOATS } from './require.ts';
import type { ScanAttributes, ScanInputs, ScanOperands } from './scanOperands.ts';
import { checkScan, readScan, scanRecurrence, scanSizes, stepSize } from './scanOperands.ts';
import { expectType, floatsOf, optionalFloats, requireType, store, storedType } from './sequence.ts';

/** Sums of gradients, in the shapes of their operands. */
interface Gradients {
  readonly x: Float64Array;
  readonly dt: Float64Array;
  readonly aLog: Float64Array;
  readonly b: Float64Array;
  readonly c: Float64Array;
  readonly d: Float64Array;
  readonly dtBias: Float64Array;
}

function zeroGradients({ batch, length, channels, states }: ScanOperands): Gradients {
  return {
    x: new Float64Array(batch * length * channels),
    dt: new Float64Array(batch * length * channels),
    aLog: new Float64Array(channels * states),
    b: new Float64Array(batch * length * states),
    c: new Float64Array(batch * length * states),
    d: new Float64Array(channels),
    dtBias: new Float64Array(channels),
  };
}

/** One position, backwards; the states around it are [E, N]. */
function stepBack(
  operands: ScanOperands,
  gradients: Gradients,
  dy: FloatValues | undefined,
  { before, after, carried }: Around,
  row: number,
  t: number,
): void {
  const { length, channels, states: count, x, dt, b, c, d, dtBias, decay } = operands;
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
    const slope = activations.softplus.derivative(dt[at] + dtBias[e]);
    gradients.dt[at] = dDelta * slope;
    gradients.dtBias[e] += dDelta * slope;
  }
}

const selectiveScanBackwardOperation = defineOperation<ScanAttributes>({
  name: 'selectiveScanBackward',
  infer(inputs, attributes, fail) {
    const { batch, length, channels, states } = checkScan(inputs, attributes, fail);
    const [, , , , , , , , , , checkpoints, dy, dState] = inputs;
    const chunks = chunkCount(length, attributes.chunk);
    requireType(checkpoints, 'checkpoints', [batch, chunks, channels, states], FLOAT32, fail);
    if (!dy && !dState) return fail(`neither 'dy' nor 'dState' is given.`);
    expectType(dy, 'dy', [batch, length, channels], FLOATS, fail);
    expectType(dState, 'dState', [batch, channels, states], FLOAT32, fail);
    return [
      storedType([batch, length, channels], attributes.dtype, fail),
      storedType([batch, length, channels], attributes.dtype, fail),
      { shape: [channels, states], dtype: 'float32' },
      { shape: [batch, length, states], dtype: 'float32' },
      { shape: [batch, length, states], dtype: 'float32' },
      { shape: [channels], dtype: 'float32' },
      { shape: [channels], dtype: 'float32' },
      { shape: [batch, channels, states], dtype: 'float32' },
    ];
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
    const checkpoints = floatsOf(inputs[10], 'checkpoints');
    const dy = optionalFloats(inputs[11], 'dy');
    const dNextState = optionalFloats(inputs[12], 'dState');
    const gradients = zeroGradients(operands);
    const recurrence = scanRecurrence(operands);
    const dState = runBack(recurrence, chunk, checkpoints, dNextState, (around, row, t) =>
      stepBack(operands, gradients, dy, around, row, t),
    );
    const { x, dt, aLog, b, c, d, dtBias } = gradients;
    [x, dt, aLog, b, c, d, dtBias, dState].forEach((values, output) => {
      store(outputs[output], values);
    });
  },
  storableOutputs: [0, 1],
});

export interface ScanBackwardInputs extends ScanInputs {
  /** [B, ⌈L/chunk⌉, E, N], from the forward call. */
  readonly checkpoints: Tensor;
  /** [B, L, E]. This, the gradient of the new state [B, E, N], or both. */
  readonly dy?: Tensor | undefined;
  readonly dState?: Tensor | undefined;
}

/**
 * Gradients of all float operands of the scan, in their shapes; that of the old state has no meaning when there was
 * none. `chunk` must be that of the forward call; `dtype` says how dx and dDt are stored.
 */
export function selectiveScanBackward(
  inputs: ScanBackwardInputs,
  options: { readonly chunk: number; readonly dtype?: FloatType },
) {
  const { x, dt, aLog, b, c, d, dtBias, documents, state, document, checkpoints, dy } = inputs;
  const [dx, dDt, dALog, dB, dC, dD, dDtBias, dState] = x.graph.apply(
    selectiveScanBackwardOperation,
    [x, dt, aLog, b, c, d, dtBias, documents, state, document, checkpoints, dy, inputs.dState],
    { chunk: options.chunk, dtype: options.dtype ?? 'float32' },
  );
  return { dx, dDt, dALog, dB, dC, dD, dDtBias, dState };
}
