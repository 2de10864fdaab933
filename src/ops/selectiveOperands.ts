/**
 * What the scans of Mamba-1 and Mamba-2 have in common: the same ten operands in the same order, checkpoints for the
 * backward pass, and a gradient for every float operand. Shapes differ; see `ScanInputs` and `SsdInputs`.
 */
import type { Attributes, Call, FloatValues, Operand, Shape, Tensor, TensorType } from '../graph/index.ts';
import { elementCount } from '../graph/index.ts';
import type { Documents } from './documents.ts';
import { readDocuments } from './documents.ts';
import type { Fail } from './require.ts';
import { FLOAT32, FLOATS, INT32 } from './require.ts';
import {
  expectStateDocument,
  expectType,
  floatsOf,
  optionalFloats,
  refuseGradient,
  requireType,
  store,
} from './sequence.ts';

export interface SelectiveInputs {
  /** float32 or bfloat16, like dt, b and c. */
  readonly x: Tensor;
  /** Time steps before bias and softplus. */
  readonly dt: Tensor;
  /** A = −exp(aLog). */
  readonly aLog: Tensor;
  readonly b: Tensor;
  readonly c: Tensor;
  /** The direct path from x to y. */
  readonly d: Tensor;
  readonly dtBias: Tensor;
  /** [B, L] int32. */
  readonly documents?: Tensor | undefined;
  /** The state before the first position. */
  readonly state?: Tensor | undefined;
  /** [B] int32: the document of the state; needed with `documents` and `state`. */
  readonly document?: Tensor | undefined;
}

export interface SelectiveBackwardInputs extends SelectiveInputs {
  /** From the forward call: the states that enter positions 0, chunk, 2·chunk … */
  readonly checkpoints: Tensor;
  /** The gradient of the output. This, that of the new state, or both. */
  readonly dy?: Tensor | undefined;
  readonly dState?: Tensor | undefined;
}

/** In the shapes of their operands; that of the old state has no meaning when there was none. */
export interface SelectiveGradients {
  readonly dx: Tensor;
  readonly dDt: Tensor;
  readonly dALog: Tensor;
  readonly dB: Tensor;
  readonly dC: Tensor;
  readonly dD: Tensor;
  readonly dDtBias: Tensor;
  readonly dState: Tensor;
}

/** The operands of a forward call, in order. */
export function forwardOperands(inputs: SelectiveInputs): readonly (Tensor | undefined)[] {
  const { x, dt, aLog, b, c, d, dtBias, documents, state, document } = inputs;
  return [x, dt, aLog, b, c, d, dtBias, documents, state, document];
}

/** The operands of a backward call, in order. */
export function backwardOperands(inputs: SelectiveBackwardInputs): readonly (Tensor | undefined)[] {
  const { checkpoints, dy, dState } = inputs;
  return [...forwardOperands(inputs), checkpoints, dy, dState];
}

/** The results of a backward call, by name. */
export function namedGradients(results: readonly Tensor[]): SelectiveGradients {
  const [dx, dDt, dALog, dB, dC, dD, dDtBias, dState] = results;
  return { dx, dDt, dALog, dB, dC, dD, dDtBias, dState };
}

/** The gradient rule of a forward call with the outputs y, checkpoints, state and document. */
export function selectiveGradient(
  operation: string,
  { inputs, outputs }: Pick<Call<Attributes>, 'inputs' | 'outputs'>,
  [dy, dCheckpoints, dNextState]: readonly (Tensor | undefined)[],
  backward: (inputs: SelectiveBackwardInputs) => SelectiveGradients,
): (Tensor | undefined)[] {
  refuseGradient(dCheckpoints, operation, 'checkpoints');
  const [x, dt, aLog, b, c, d, dtBias, documents, state, document] = inputs;
  if (!x || !dt || !aLog || !b || !c || !d || !dtBias || (!dy && !dNextState)) {
    return inputs.map(() => undefined);
  }
  const { dx, dDt, dALog, dB, dC, dD, dDtBias, dState } = backward({
    ...{ x, dt, aLog, b, c, d, dtBias, documents, state, document },
    ...{ checkpoints: outputs[1], dy, dState: dNextState },
  });
  return [dx, dDt, dALog, dB, dC, dD, dDtBias, undefined, state && dState, undefined];
}

/** What the operands must be; c is like b, dtBias like d, and a gradient like what it is of. */
export interface SelectiveShapes {
  /** [B, L, …] */
  readonly x: Shape;
  readonly dt: Shape;
  readonly aLog: Shape;
  readonly b: Shape;
  readonly d: Shape;
  readonly state: Shape;
}

/** Checks the operands of a forward call. */
export function checkForward(
  inputs: readonly (TensorType | undefined)[],
  shapes: SelectiveShapes,
  fail: Fail,
): void {
  const [x, dt, aLog, b, c, d, dtBias, documents, state, document] = inputs;
  const [batch, length] = shapes.x;
  requireType(x, 'x', shapes.x, FLOATS, fail);
  requireType(dt, 'dt', shapes.dt, FLOATS, fail);
  requireType(aLog, 'aLog', shapes.aLog, FLOAT32, fail);
  requireType(b, 'b', shapes.b, FLOATS, fail);
  requireType(c, 'c', shapes.b, FLOATS, fail);
  requireType(d, 'd', shapes.d, FLOAT32, fail);
  requireType(dtBias, 'dtBias', shapes.d, FLOAT32, fail);
  expectType(documents, 'documents', [batch, length], INT32, fail);
  expectType(state, 'state', shapes.state, FLOAT32, fail);
  expectType(document, 'document', [batch], INT32, fail);
  expectStateDocument(state, documents, document, 'state', fail);
}

/** Checks what a backward call takes beside the operands of the forward one. Returns the types of its results. */
export function checkBackward(
  inputs: readonly (TensorType | undefined)[],
  { x, dt, aLog, b, d, state }: SelectiveShapes,
  chunks: number,
  fail: Fail,
): TensorType[] {
  const [checkpoints, dy, dState] = inputs.slice(10);
  const [batch, ...rest] = state;
  requireType(checkpoints, 'checkpoints', [batch, chunks, ...rest], FLOAT32, fail);
  if (!dy && !dState) return fail(`neither 'dy' nor 'dState' is given.`);
  expectType(dy, 'dy', x, FLOATS, fail);
  expectType(dState, 'dState', state, FLOAT32, fail);
  return [x, dt, aLog, b, b, d, d, state].map((shape) => ({ shape, dtype: 'float32' }));
}

/** The operands of a forward call as plain meanings read them. */
export interface SelectiveOperands {
  readonly x: FloatValues;
  readonly b: FloatValues;
  readonly c: FloatValues;
  readonly d: FloatValues;
  /** A = −exp(aLog). */
  readonly decay: Float64Array;
  readonly documents: Documents;
  readonly state: FloatValues | undefined;
  /** dt + dtBias at a place of dt, which is of this channel or head. */
  rawStep(at: number, of: number): number;
}

export function readForward(inputs: readonly (Operand | undefined)[]): SelectiveOperands {
  const [batch, length] = inputs[0]?.shape ?? [];
  const dt = floatsOf(inputs[1], 'dt');
  const dtBias = floatsOf(inputs[6], 'dtBias');
  return {
    x: floatsOf(inputs[0], 'x'),
    decay: Float64Array.from(floatsOf(inputs[2], 'aLog'), (value) => -Math.exp(value)),
    b: floatsOf(inputs[3], 'b'),
    c: floatsOf(inputs[4], 'c'),
    d: floatsOf(inputs[5], 'd'),
    documents: readDocuments([batch, length], inputs[7], inputs[9]),
    state: optionalFloats(inputs[8], 'state'),
    rawStep: (at, of) => dt[at] + dtBias[of],
  };
}

/** Sums of gradients, in the shapes of their operands. */
export interface GradientSums {
  readonly x: Float64Array;
  readonly dt: Float64Array;
  readonly aLog: Float64Array;
  readonly b: Float64Array;
  readonly c: Float64Array;
  readonly d: Float64Array;
  readonly dtBias: Float64Array;
}

/** What a backward call reads beside the operands of the forward one, and sums that begin at zero. */
export function readBackward(inputs: readonly (Operand | undefined)[]): {
  readonly checkpoints: FloatValues;
  readonly dy: FloatValues | undefined;
  readonly dNextState: FloatValues | undefined;
  readonly sums: GradientSums;
} {
  const zeros = (index: number): Float64Array => new Float64Array(elementCount(inputs[index]?.shape ?? []));
  const [x, dt, aLog, b, c, d, dtBias] = [0, 1, 2, 3, 4, 5, 6].map(zeros);
  return {
    checkpoints: floatsOf(inputs[10], 'checkpoints'),
    dy: optionalFloats(inputs[11], 'dy'),
    dNextState: optionalFloats(inputs[12], 'dState'),
    sums: { x, dt, aLog, b, c, d, dtBias },
  };
}

export function storeGradients(
  outputs: readonly (Operand | undefined)[],
  { x, dt, aLog, b, c, d, dtBias }: GradientSums,
  dState: ArrayLike<number>,
): void {
  [x, dt, aLog, b, c, d, dtBias, dState].forEach((values, output) => {
    store(outputs[output], values);
  });
}
