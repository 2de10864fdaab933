/**
 * The gates of the real-gated linear recurrent unit (De et al. 2024, arXiv:2402.19427, equations 1 to 4): how much of its
 * past a feature keeps, and what comes in. The decay stands close to 1, so nothing here is ever stored in BF16, and
 * 1 − a² is computed without subtracting equal numbers.
 */
import type { Operand, Tensor, TensorType } from '../graph/index.ts';
import { defineOperation, elementCount } from '../graph/index.ts';
import { activations } from './activations.ts';
import { elementwiseCost } from './cost.ts';
import { readDocuments } from './documents.ts';
import type { Fail } from './require.ts';
import { FLOAT32, FLOATS, INT32 } from './require.ts';
import {
  expectType,
  floatsOf,
  optionalFloats,
  optionalIntegers,
  requireType,
  sizesOf,
  store,
} from './sequence.ts';

const sigmoid = activations.sigmoid.value;
const softplus = activations.softplus.value;

/** c of equation 3. */
const POWER = 8;

/**
 * Below it the slope of √(1 − a²) stops growing: that of the root of x is at most 1000 in the code of RecurrentGemma
 * (`_MAX_SQRT_GRADIENT`), which is reached where √x is 1 / 2000.
 */
const LEAST_SHARE = 1 / 2000;

export interface GatedDecayInputs {
  /** [B, L, D] float32: the recurrence gate before its sigmoid. */
  readonly r: Tensor;
  /** [B, L, D], float32 or bfloat16: the input gate before its sigmoid. */
  readonly i: Tensor;
  /** [B, L, D], float32 or bfloat16. */
  readonly x: Tensor;
  /** [D] float32: Λ, the larger the shorter the memory. */
  readonly lambda: Tensor;
  /** [B, L] int32. */
  readonly documents?: Tensor | undefined;
  /** [B] int32: the document of the state; without it a row with documents begins afresh. */
  readonly document?: Tensor | undefined;
  /** [B] int32: tokens before this piece. Not given: none. */
  readonly used?: Tensor | undefined;
}

function checkOperands(inputs: readonly (TensorType | undefined)[], fail: Fail): readonly number[] {
  const [r, i, x, lambda, documents, document, used] = inputs;
  const [batch, length, channels] = sizesOf(r, 'r', 'B, L, D', fail);
  expectType(r, 'r', [batch, length, channels], FLOAT32, fail);
  requireType(i, 'i', [batch, length, channels], FLOATS, fail);
  requireType(x, 'x', [batch, length, channels], FLOATS, fail);
  requireType(lambda, 'lambda', [channels], FLOAT32, fail);
  expectType(documents, 'documents', [batch, length], INT32, fail);
  expectType(document, 'document', [batch], INT32, fail);
  expectType(used, 'used', [batch], INT32, fail);
  return [batch, length, channels];
}

/** What one element comes to. */
interface Gate {
  readonly at: number;
  readonly channel: number;
  /** The gates. */
  readonly keep: number;
  readonly enter: number;
  readonly a: number;
  /** √(1 − a²), or 1 where nothing stands before. */
  readonly share: number;
  readonly first: boolean;
}

function forEachGate(inputs: readonly (Operand | undefined)[], visit: (gate: Gate) => void): void {
  const [batch, length, channels] = inputs[0]?.shape ?? [];
  const r = floatsOf(inputs[0], 'r');
  const i = floatsOf(inputs[1], 'i');
  const speed = Float64Array.from(floatsOf(inputs[3], 'lambda'), (value) => POWER * softplus(value));
  const documents = readDocuments([batch, length], inputs[4], inputs[5]);
  const used = optionalIntegers(inputs[6], 'used');
  for (let row = 0; row < batch; row++) {
    for (let t = 0; t < length; t++) {
      const first = (t === 0 && !used?.[row]) || documents.startsAfresh(row, t);
      for (let channel = 0; channel < channels; channel++) {
        const at = (row * length + t) * channels + channel;
        const keep = sigmoid(r[at]);
        const logA = -keep * speed[channel];
        const share = first ? 1 : Math.sqrt(-Math.expm1(2 * logA));
        visit({ at, channel, keep, enter: sigmoid(i[at]), a: Math.exp(logA), share, first });
      }
    }
  }
}

const gatedDecayOperation = defineOperation({
  name: 'gatedDecay',
  infer(inputs, _, fail) {
    const shape = checkOperands(inputs, fail);
    return [
      { shape, dtype: 'float32' },
      { shape, dtype: 'float32' },
    ];
  },
  gradient({ inputs }, [da, dy]) {
    const [r, i, x, lambda, documents, document, used] = inputs;
    if (!r || !i || !x || !lambda || (!da && !dy)) return [];
    const back = gatedDecayBackward({ r, i, x, lambda, documents, document, used, da, dy });
    return [back.dr, back.di, back.dx, back.dLambda];
  },
  cost: (inputs, outputs) => elementwiseCost(14 * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [a, y]) {
    const x = floatsOf(inputs[2], 'x');
    const decays = new Float64Array(x.length);
    const entering = new Float64Array(x.length);
    forEachGate(inputs, (gate) => {
      decays[gate.at] = gate.a;
      entering[gate.at] = gate.share * gate.enter * x[gate.at];
    });
    store(a, decays);
    store(y, entering);
  },
});

/**
 * a_t = e^(−8 · σ(r_t) · softplus(Λ)) and y_t = √(1 − a_t²) · σ(i_t) · x_t, both [B, L, D] float32; where nothing of the
 * document stands before (no `used` tokens, or a new document) the factor is 1 in place of the root.
 */
export function gatedDecay(inputs: GatedDecayInputs): { a: Tensor; y: Tensor } {
  const { r, i, x, lambda, documents, document, used } = inputs;
  const [a, y] = r.graph.apply(gatedDecayOperation, [r, i, x, lambda, documents, document, used], {});
  return { a, y };
}

const gatedDecayBackwardOperation = defineOperation({
  name: 'gatedDecayBackward',
  infer(inputs, _, fail) {
    const shape = checkOperands(inputs, fail);
    const [, , , , , , , da, dy] = inputs;
    if (!da && !dy) return fail(`neither 'da' nor 'dy' is given.`);
    expectType(da, 'da', shape, FLOAT32, fail);
    expectType(dy, 'dy', shape, FLOAT32, fail);
    return [
      { shape, dtype: 'float32' },
      { shape, dtype: 'float32' },
      { shape, dtype: 'float32' },
      { shape: shape.slice(-1), dtype: 'float32' },
    ];
  },
  cost: (inputs, outputs) => elementwiseCost(32 * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [dr, di, dx, dLambda]) {
    const x = floatsOf(inputs[2], 'x');
    const lambda = floatsOf(inputs[3], 'lambda');
    const da = optionalFloats(inputs[7], 'da');
    const dy = optionalFloats(inputs[8], 'dy');
    const [recurrence, input, value] = [0, 1, 2].map(() => new Float64Array(x.length));
    const slope = new Float64Array(lambda.length);
    forEachGate(inputs, ({ at, channel, keep, enter, a, share, first }) => {
      const dEntering = dy ? dy[at] : 0;
      value[at] = dEntering * share * enter;
      input[at] = dEntering * share * x[at] * enter * (1 - enter);
      const dShare = first ? 0 : dEntering * enter * x[at];
      const dLogA = (da ? da[at] * a : 0) - (dShare * a * a) / Math.max(share, LEAST_SHARE);
      recurrence[at] = -dLogA * POWER * softplus(lambda[channel]) * keep * (1 - keep);
      slope[channel] -= dLogA * POWER * keep * sigmoid(lambda[channel]);
    });
    store(dr, recurrence);
    store(di, input);
    store(dx, value);
    store(dLambda, slope);
  },
});

export interface GatedDecayBackwardInputs extends GatedDecayInputs {
  /** [B, L, D] float32. This, `dy`, or both. */
  readonly da?: Tensor | undefined;
  readonly dy?: Tensor | undefined;
}

/** The gradients of `gatedDecay`, float32: of r, i and x [B, L, D], and of Λ [D]. Gates are computed again. */
export function gatedDecayBackward(inputs: GatedDecayBackwardInputs): {
  dr: Tensor;
  di: Tensor;
  dx: Tensor;
  dLambda: Tensor;
} {
  const { r, i, x, lambda, documents, document, used, da, dy } = inputs;
  const operands = [r, i, x, lambda, documents, document, used, da, dy];
  const [dr, di, dx, dLambda] = r.graph.apply(gatedDecayBackwardOperation, operands, {});
  return { dr, di, dx, dLambda };
}
