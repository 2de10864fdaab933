/**
 * The head and the loss in one operation: linear layer, softmax and cross-entropy over chunks of tokens, so that the
 * logits (tokens × vocabulary) are never whole in memory.
 *
 * Shapes: T tokens (the product of all leading axes), D features, V vocabulary.
 */
import type { Cost, Operand, Tensor, TensorType } from '../graph/index.ts';
import { BraidError, defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { traffic } from './cost.ts';
import { operand, rowCount } from './plain.ts';
import { productOfRows } from './products.ts';
import { multiplyScalar } from './reduce.ts';
import type { Fail } from './require.ts';
import {
  FLOAT32,
  FLOATS,
  INT32,
  lastAxis,
  requireInput,
  requirePositiveInteger,
  requireRank,
  requireShape,
} from './require.ts';

type LossAttributes = { readonly chunk: number; readonly cap?: number };

interface LossTypes {
  readonly x: TensorType;
  readonly w: TensorType;
  readonly tokens: TensorType;
}

function requireLossInputs(
  inputs: readonly (TensorType | undefined)[],
  { chunk, cap = 0 }: LossAttributes,
  fail: Fail,
): LossTypes {
  const x = requireInput(inputs, 0, 'x', FLOATS, fail);
  const w = requireInput(inputs, 1, 'w', FLOATS, fail);
  const targets = requireInput(inputs, 2, 'targets', INT32, fail);
  const weights = requireInput(inputs, 3, 'weights', FLOAT32, fail);
  if (x.dtype !== w.dtype) return fail("'x' and 'w' must both be float32 or both be bfloat16; cast one.");
  requireRank(w, 'w', '[V, D]', 2, fail);
  requireShape(w, [w.shape[0], lastAxis(x, 'x', fail)], 'w', fail);
  const shape = x.shape.slice(0, -1);
  requireShape(targets, shape, 'targets', fail);
  requireShape(weights, shape, 'weights', fail);
  requirePositiveInteger(chunk, 'chunk', fail);
  if (!(cap >= 0 && Number.isFinite(cap)))
    fail(`attribute cap is ${cap}; it must be a number above 0, or 0 for none.`);
  return { x, w, tokens: { shape, dtype: 'float32' } };
}

/** `products` matrix products of T × V × D are executed, `model` of them are what the mathematics needs. */
function lossCost(
  inputs: readonly (TensorType | undefined)[],
  outputs: readonly TensorType[],
  model: number,
  products: number,
  { cap = 0 }: LossAttributes,
): Cost {
  const [x, w] = inputs;
  if (!x || !w) return { model: 0, executed: 0, elementwise: 0, bytes: 0 };
  const logits = rowCount(x.shape) * w.shape[0];
  const flops = 2 * logits * w.shape[1];
  return {
    model: model * flops,
    executed: products * flops,
    // Maximum, subtraction, exponential and sum; three more for (softmax − one-hot) · weight. A cap takes three, its slope
    // three more.
    elementwise: ((products > 1 ? 7 : 4) + (cap > 0 ? (products > 1 ? 6 : 3) : 0)) * logits,
    bytes: traffic(inputs, outputs),
  };
}

/**
 * One chunk of logits in float32; the backward pass turns them in place into its operand. Rows are padded to whole
 * vectors and one more.
 */
function lossWorkspace(inputs: readonly (TensorType | undefined)[], { chunk }: LossAttributes): number {
  const [x, w] = inputs;
  if (!x || !w) return 0;
  const rows = Math.min(chunk, rowCount(x.shape));
  return rows * (16 * Math.ceil(w.shape[0] / 16) + 16) * 4;
}

const ONE: TensorType = { shape: [1], dtype: 'float32' };

const lossOperation = defineOperation<LossAttributes>({
  name: 'linearCrossEntropy',
  lowPrecisionInputs: [0, 1],
  infer(inputs, attributes, fail) {
    const { tokens } = requireLossInputs(inputs, attributes, fail);
    return [ONE, tokens, tokens];
  },
  gradient({ inputs, outputs, attributes }, [dLoss, dTokenLoss, dLogsumexp]) {
    if (dTokenLoss || dLogsumexp) {
      throw new BraidError(
        'unsupported',
        'linearCrossEntropy has a gradient for its first output (loss) only; tokenLoss and logsumexp are for reading. ' +
          'Put the factors of the tokens into `weights`.',
      );
    }
    const [x, w, targets, weights] = inputs;
    if (!x || !w || !targets || !weights || !dLoss) return [];
    const given = { x, w, targets, weights, logsumexp: outputs[2], dLoss };
    const { dx, dw } = linearCrossEntropyBackward(given, attributes);
    return [dx, dw, undefined, multiplyScalar(outputs[1], dLoss)];
  },
  cost: (inputs, outputs, attributes) => lossCost(inputs, outputs, 1, 1, attributes),
  workspace: (inputs, _outputs, attributes) => lossWorkspace(inputs, attributes),
  evaluate(inputs, [loss, tokenLoss, logsumexp], { cap = 0 }) {
    const weights = operand(inputs, 3).values;
    let total = 0;
    forEachToken(inputs, cap, ({ token, target, logits }) => {
      const norm = logSumExp(logits);
      const entropy = target < 0 ? 0 : norm - logits[target];
      if (target >= 0) total += weights[token] * entropy;
      if (tokenLoss) tokenLoss.values[token] = entropy;
      if (logsumexp) logsumexp.values[token] = norm;
    });
    if (loss) loss.values[0] = total;
  },
});

export interface LossInputs {
  /** [T…, D], float32 or bfloat16 like `w`. */
  readonly x: Tensor;
  /** [V, D]. */
  readonly w: Tensor;
  /** [T…] int32; −1: the token is ignored. */
  readonly targets: Tensor;
  /** [T…] float32: the factor of each token in the loss. */
  readonly weights: Tensor;
}

export interface LossOptions {
  /** Tokens whose logits are in memory at the same time. */
  readonly chunk: number;
  /** c: logits z become c · tanh(z / c), as in Gemma 2 and RecurrentGemma. Not given, or 0: they stay as they are. */
  readonly cap?: number | undefined;
}

function attributesOf({ chunk, cap }: LossOptions): LossAttributes {
  return cap ? { chunk, cap } : { chunk };
}

/**
 * loss[1] = Σ weights · ce with ce = −log softmax(x · wᵀ)[target], logits capped where asked for; `tokenLoss` [T…] is ce (0 where the target is −1) and
 * `logsumexp` [T…] the logarithm of the softmax's denominator. A target outside [−1, V) is an error when the program
 * runs. Only `loss` has a gradient.
 */
export function linearCrossEntropy(
  { x, w, targets, weights }: LossInputs,
  options: LossOptions,
): { loss: Tensor; tokenLoss: Tensor; logsumexp: Tensor } {
  const outputs = graphOf([x]).apply(lossOperation, [x, w, targets, weights], attributesOf(options));
  return { loss: outputs[0], tokenLoss: outputs[1], logsumexp: outputs[2] };
}

const lossBackwardOperation = defineOperation<LossAttributes>({
  name: 'linearCrossEntropyBackward',
  lowPrecisionInputs: [0, 1],
  infer(inputs, attributes, fail) {
    const { x, w, tokens } = requireLossInputs(inputs, attributes, fail);
    requireShape(requireInput(inputs, 4, 'logsumexp', FLOAT32, fail), tokens.shape, 'logsumexp', fail);
    requireShape(requireInput(inputs, 5, 'dLoss', FLOAT32, fail), [1], 'dLoss', fail);
    return [
      { shape: x.shape, dtype: 'float32' },
      { shape: w.shape, dtype: 'float32' },
    ];
  },
  // Two products, and the logits once more.
  cost: (inputs, outputs, attributes) => lossCost(inputs, outputs, 0, 3, attributes),
  workspace: (inputs, _outputs, attributes) => lossWorkspace(inputs, attributes),
  evaluate(inputs, [dx, dw], { cap = 0 }) {
    const logsumexp = operand(inputs, 4).values;
    const dLoss = operand(inputs, 5).values[0];
    const gradients = new LossGradients(inputs, cap);
    forEachToken(inputs, cap, (position) => gradients.add(position, logsumexp[position.token], dLoss));
    gradients.store(dx, dw);
  },
});

/** The gradients of `loss`: dx and dw, both float32. The logits are computed again, chunk by chunk. */
export function linearCrossEntropyBackward(
  given: LossInputs & { readonly logsumexp: Tensor; readonly dLoss: Tensor },
  options: LossOptions,
): { dx: Tensor; dw: Tensor } {
  const { x, w, targets, weights, logsumexp, dLoss } = given;
  const inputs = [x, w, targets, weights, logsumexp, dLoss];
  const outputs = graphOf([x]).apply(lossBackwardOperation, inputs, attributesOf(options));
  return { dx: outputs[0], dw: outputs[1] };
}

const lossWithGradientOperation = defineOperation<LossAttributes>({
  name: 'linearCrossEntropyWithGradient',
  lowPrecisionInputs: [0, 1],
  infer(inputs, attributes, fail) {
    const { x, w, tokens } = requireLossInputs(inputs, attributes, fail);
    return [ONE, tokens, { shape: x.shape, dtype: 'float32' }, { shape: w.shape, dtype: 'float32' }];
  },
  cost: (inputs, outputs, attributes) => lossCost(inputs, outputs, 1, 3, attributes),
  workspace: (inputs, _outputs, attributes) => lossWorkspace(inputs, attributes),
  evaluate(inputs, [loss, tokenLoss, dx, dw], { cap = 0 }) {
    const weights = operand(inputs, 3).values;
    const gradients = new LossGradients(inputs, cap);
    let total = 0;
    forEachToken(inputs, cap, (position) => {
      const { token, target, logits } = position;
      const norm = logSumExp(logits);
      const entropy = target < 0 ? 0 : norm - logits[target];
      if (target >= 0) total += weights[token] * entropy;
      if (tokenLoss) tokenLoss.values[token] = entropy;
      gradients.add(position, norm, 1);
    });
    if (loss) loss.values[0] = total;
    gradients.store(dx, dw);
  },
});

/** Loss and its gradients in one pass over the chunks, for a loss that is itself what is differentiated (dLoss = 1). */
export function linearCrossEntropyWithGradient(
  { x, w, targets, weights }: LossInputs,
  options: LossOptions,
): { loss: Tensor; tokenLoss: Tensor; dx: Tensor; dw: Tensor } {
  const outputs = graphOf([x]).apply(
    lossWithGradientOperation,
    [x, w, targets, weights],
    attributesOf(options),
  );
  return { loss: outputs[0], tokenLoss: outputs[1], dx: outputs[2], dw: outputs[3] };
}

interface TokenLogits {
  readonly token: number;
  /** −1: ignored. */
  readonly target: number;
  /** [V], capped, valid until the next token. */
  readonly logits: Float64Array;
}

/** Computes the logits token by token: the plain meaning needs no chunks. */
function forEachToken(
  inputs: readonly (Operand | undefined)[],
  cap: number,
  visit: (position: TokenLogits) => void,
): void {
  const x = operand(inputs, 0).values;
  const w = operand(inputs, 1);
  const targets = operand(inputs, 2).values;
  const [vocabulary, width] = w.shape;
  const logits = new Float64Array(vocabulary);
  for (let token = 0; token < targets.length; token++) {
    const target = targets[token];
    if (target < -1 || target >= vocabulary) {
      throw new BraidError(
        'data',
        `linearCrossEntropy: target ${target} of token ${token} is outside [-1, ${vocabulary}). The tokenizer and the ` +
          'model must have the same vocabulary.',
      );
    }
    productOfRows(x.subarray(token * width, (token + 1) * width), w.values, logits, 1, vocabulary, width);
    if (cap > 0) for (let v = 0; v < vocabulary; v++) logits[v] = cap * Math.tanh(logits[v] / cap);
    visit({ token, target, logits });
  }
}

function logSumExp(logits: Float64Array): number {
  let maximum = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > maximum) maximum = logit;
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - maximum);
  return maximum + Math.log(total);
}

/** Adds up dx and dw over the tokens: with g = (softmax − one-hot) · weight · dLoss, times the slope of the cap, dx = g · w and
 * dw = gᵀ · x. */
class LossGradients {
  readonly #x: Operand;
  readonly #w: Operand;
  readonly #weights: Operand;
  readonly #dx: Float64Array;
  readonly #dw: Float64Array;
  readonly #cap: number;

  constructor(inputs: readonly (Operand | undefined)[], cap: number) {
    this.#cap = cap;
    this.#x = operand(inputs, 0);
    this.#w = operand(inputs, 1);
    this.#weights = operand(inputs, 3);
    this.#dx = new Float64Array(elementCount(this.#x.shape));
    this.#dw = new Float64Array(elementCount(this.#w.shape));
  }

  add({ token, target, logits }: TokenLogits, logsumexp: number, dLoss: number): void {
    if (target < 0) return;
    const factor = this.#weights.values[token] * dLoss;
    const width = this.#w.shape[1];
    const x = this.#x.values;
    const w = this.#w.values;
    for (let v = 0; v < logits.length; v++) {
      const probability = Math.exp(logits[v] - logsumexp);
      const slope = this.#cap > 0 ? 1 - (logits[v] / this.#cap) ** 2 : 1;
      const g = factor * (v === target ? probability - 1 : probability) * slope;
      for (let i = 0; i < width; i++) {
        this.#dx[token * width + i] += g * w[v * width + i];
        this.#dw[v * width + i] += g * x[token * width + i];
      }
    }
  }

  store(dx: Operand | undefined, dw: Operand | undefined): void {
    dx?.values.set(this.#dx);
    dw?.values.set(this.#dw);
  }
}
