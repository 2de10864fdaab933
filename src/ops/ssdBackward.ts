/**
 * The gradient of the scan of Mamba-2. The states inside a chunk are computed again from the state that entered it; a
 * kernel takes a chunk as matrix products, as in the forward pass.
 */
import type { FloatValues } from '../graph/index.ts';
import { defineOperation } from '../graph/index.ts';
import { traffic } from './cost.ts';
import type { Around } from './recurrence.ts';
import { chunkCount, runBack } from './recurrence.ts';
import type { FloatType } from './require.ts';
import type { GradientSums, SelectiveBackwardInputs, SelectiveGradients } from './selectiveOperands.ts';
import {
  backwardOperands,
  checkBackward,
  namedGradients,
  readBackward,
  storeGradients,
} from './selectiveOperands.ts';
import { storedType } from './sequence.ts';
import type { SsdAttributes, SsdOperands } from './ssdOperands.ts';
import {
  checkSsd,
  chunkPairs,
  headParts,
  readSsd,
  ssdRecurrence,
  ssdShapes,
  ssdSizes,
  weighedPairs,
} from './ssdOperands.ts';

/** One position, backwards; the states around it are [H, P, N]. */
function stepBack(
  operands: SsdOperands,
  gradients: GradientSums,
  dy: FloatValues | undefined,
  { before, after, carried }: Around,
  token: number,
): void {
  const { heads, headSize, states: count, x, b, c, d, decay, step, group } = operands;
  for (let h = 0; h < heads; h++) {
    const { size, slope } = step(token, h);
    const keep = Math.exp(size * decay[h]);
    const from = group(token, h);
    let dExponent = 0; // of Δ A
    let dSize = 0;
    for (let p = 0; p < headSize; p++) {
      const at = (token * heads + h) * headSize + p;
      const dOut = dy ? dy[at] : 0;
      let dInput = 0; // of Δ x, the factor of B
      for (let n = 0; n < count; n++) {
        const i = (h * headSize + p) * count + n;
        const dState = carried[i] + dOut * c[from + n];
        gradients.c[from + n] += dOut * after[i];
        gradients.b[from + n] += dState * size * x[at];
        dInput += dState * b[from + n];
        dExponent += dState * before[i] * keep;
        carried[i] = dState * keep;
      }
      gradients.x[at] = dInput * size + dOut * d[h];
      gradients.d[h] += dOut * x[at];
      dSize += dInput * x[at];
    }
    dSize += dExponent * decay[h];
    gradients.aLog[h] += dExponent * size * decay[h]; // dA/daLog = A
    gradients.dt[token * heads + h] = dSize * slope;
    gradients.dtBias[h] += dSize * slope;
  }
}

const ssdBackwardOperation = defineOperation<SsdAttributes>({
  name: 'ssdBackward',
  infer(inputs, attributes, fail) {
    const sizes = checkSsd(inputs, attributes, fail);
    const shapes = ssdShapes(sizes);
    const results = checkBackward(inputs, shapes, chunkCount(sizes.length, attributes.chunk), fail);
    return [storedType(shapes.x, attributes.dtype, fail), ...results.slice(1)];
  },
  cost(inputs, outputs, { chunk }) {
    const sizes = ssdSizes(inputs);
    const { batch, length, heads, headSize, groups, states } = sizes;
    const tokens = batch * length;
    const numbers = heads * headSize;
    const pairs = chunkPairs(sizes, chunk);
    const weighed = weighedPairs(sizes, chunk);
    return {
      model: 0,
      // Within chunks: the scores again, dB and dC per group, the scores' gradient and dx per head. Between chunks: the
      // states' share of dx, dB and dC, and the carried gradient. Then the direct path.
      executed:
        2 * pairs * groups * states +
        4 * weighed * (groups * states + numbers) +
        tokens * numbers * (8 * states + 4),
      elementwise: 6 * tokens * heads + 6 * weighed * heads,
      bytes: traffic(inputs, outputs),
    };
  },
  workspace(inputs, _outputs, _attributes, threads) {
    const sizes = ssdSizes(inputs);
    const { batch, length, heads, groups, states } = sizes;
    const parts = headParts(sizes, threads);
    // Three sums of parameters per head and row, and where several threads share a group, the dB and dC of each.
    const shares = parts > 1 ? 2 * parts * batch * length * groups * states : 0;
    return 4 * (3 * batch * heads + shares);
  },
  evaluate(inputs, outputs, attributes) {
    const operands = readSsd(inputs, attributes);
    const { checkpoints, dy, dNextState, sums } = readBackward(inputs);
    const recurrence = ssdRecurrence(operands);
    const dState = runBack(recurrence, attributes.chunk, checkpoints, dNextState, (around, row, t) =>
      stepBack(operands, sums, dy, around, row * operands.length + t),
    );
    storeGradients(outputs, sums, dState);
  },
  storableOutputs: [0],
});

/** `dy` is [B, L, H, P], `dState` [B, H, P, N], and `checkpoints` [B, ⌈L/chunk⌉, H, P, N]. */
export type SsdBackwardInputs = SelectiveBackwardInputs;

/**
 * Gradients of all float operands of the scan, in their shapes; that of the old state has no meaning when there was
 * none. A Δ beyond its bounds passes no gradient to dt. `chunk` and the bounds must be those of the forward call;
 * `dtype` says how dx is stored.
 */
export function ssdBackward(
  inputs: SsdBackwardInputs,
  options: {
    readonly chunk: number;
    readonly dtLow?: number | undefined;
    readonly dtHigh?: number | undefined;
    readonly dtype?: FloatType;
  },
): SelectiveGradients {
  const { chunk, dtLow, dtHigh, dtype = 'float32' } = options;
  const attributes = { chunk, dtLow, dtHigh, dtype };
  const results = inputs.x.graph.apply(ssdBackwardOperation, backwardOperands(inputs), attributes);
  return namedGradients(results);
}
