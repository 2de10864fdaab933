/**
 * The elementwise linear recurrence h_t = a_t ⊙ h_{t−1} + x_t behind gated linear recurrent units (De et al. 2024,
 * arXiv:2402.19427, equation 4) and other layers. It starts from zero at every document, and carries its state from one
 * piece of a sequence to the next.
 */
import type { FloatValues, Operand, Tensor, TensorType } from '../graph/index.ts';
import { defineOperation } from '../graph/index.ts';
import { traffic } from './cost.ts';
import type { Documents } from './documents.ts';
import { readDocuments } from './documents.ts';
import { runRecurrence } from './recurrence.ts';
import type { Fail, FloatType } from './require.ts';
import { FLOAT32, FLOATS, INT32 } from './require.ts';
import {
  expectStateDocument,
  expectType,
  floatsOf,
  optionalFloats,
  requireType,
  sizesOf,
  store,
  storedType,
} from './sequence.ts';

export interface RecurrenceInputs {
  /** [B, L, D], float32 or bfloat16. */
  readonly a: Tensor;
  /** [B, L, D], float32 or bfloat16. */
  readonly x: Tensor;
  /** [B, L] int32. */
  readonly documents?: Tensor | undefined;
  /** [B, D]: h before the first position. */
  readonly state?: Tensor | undefined;
  /** [B] int32: the document of the state; needed with `documents` and `state`. */
  readonly document?: Tensor | undefined;
}

interface Sizes {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
}

/** Checks a, what stands beside it (x forward, h backward), and the three operands of the state. */
function checkOperands(inputs: readonly (TensorType | undefined)[], second: 'x' | 'h', fail: Fail): Sizes {
  const [a, beside, documents, state, document] = inputs;
  const [batch, length, channels] = sizesOf(a, 'a', 'B, L, D', fail);
  expectType(a, 'a', [batch, length, channels], FLOATS, fail);
  requireType(beside, second, [batch, length, channels], FLOATS, fail);
  expectType(documents, 'documents', [batch, length], INT32, fail);
  expectType(state, 'state', [batch, channels], FLOAT32, fail);
  expectType(document, 'document', [batch], INT32, fail);
  expectStateDocument(state, documents, document, 'state', fail);
  return { batch, length, channels };
}

interface Operands extends Sizes {
  readonly a: FloatValues;
  readonly documents: Documents;
  readonly state: FloatValues | undefined;
}

function readOperands(inputs: readonly (Operand | undefined)[]): Operands {
  const [batch, length, channels] = inputs[0]?.shape ?? [];
  return {
    ...{ batch, length, channels },
    a: floatsOf(inputs[0], 'a'),
    documents: readDocuments([batch, length], inputs[2], inputs[4]),
    state: optionalFloats(inputs[3], 'state'),
  };
}

/** FLOPs for `perNumber` arithmetic operations on every number of a. */
function flops([a]: readonly (TensorType | undefined)[], perNumber: number): number {
  const [batch, length, channels] = a?.shape ?? [];
  return perNumber * batch * length * channels;
}

const linearRecurrenceBackwardOperation = defineOperation({
  name: 'linearRecurrenceBackward',
  infer(inputs, _, fail) {
    const { batch, length, channels } = checkOperands(inputs, 'h', fail);
    const [, , , , , dh, dState] = inputs;
    if (!dh && !dState) return fail(`neither 'dh' nor 'dState' is given.`);
    expectType(dh, 'dh', [batch, length, channels], FLOATS, fail);
    expectType(dState, 'dState', [batch, channels], FLOAT32, fail);
    return [
      { shape: [batch, length, channels], dtype: 'float32' },
      { shape: [batch, length, channels], dtype: 'float32' },
      { shape: [batch, channels], dtype: 'float32' },
    ];
  },
  cost: (inputs, outputs) => ({
    model: 0,
    executed: flops(inputs, 3),
    elementwise: 0,
    bytes: traffic(inputs, outputs),
  }),
  evaluate(inputs, outputs) {
    const { batch, length, channels, a, documents, state } = readOperands(inputs);
    const h = floatsOf(inputs[1], 'h');
    const dh = optionalFloats(inputs[5], 'dh');
    const dNextState = optionalFloats(inputs[6], 'dState');
    const da = new Float64Array(batch * length * channels);
    const dx = new Float64Array(batch * length * channels);
    const dState = new Float64Array(batch * channels);
    for (let row = 0; row < batch; row++) {
      for (let channel = 0; channel < channels; channel++) {
        const of = row * channels + channel;
        let carried = dNextState ? dNextState[of] : 0;
        for (let t = length - 1; t >= 0; t--) {
          const at = (row * length + t) * channels + channel;
          const before = t > 0 ? h[at - channels] : state ? state[of] : 0;
          const afresh = documents.startsAfresh(row, t);
          dx[at] = carried + (dh ? dh[at] : 0);
          da[at] = afresh ? 0 : dx[at] * before;
          carried = afresh ? 0 : dx[at] * a[at];
        }
        dState[of] = carried;
      }
    }
    store(outputs[0], da);
    store(outputs[1], dx);
    store(outputs[2], dState);
  },
});

const linearRecurrenceOperation = defineOperation<{ readonly dtype: FloatType }>({
  name: 'linearRecurrence',
  infer(inputs, { dtype }, fail) {
    const { batch, length, channels } = checkOperands(inputs, 'x', fail);
    return [
      storedType([batch, length, channels], dtype, fail),
      { shape: [batch, channels], dtype: 'float32' },
      { shape: [batch], dtype: 'int32' },
    ];
  },
  gradient({ inputs, outputs }, [dh, dNextState]) {
    const [a, x, documents, state, document] = inputs;
    if (!a || !x || (!dh && !dNextState)) return inputs.map(() => undefined);
    const { da, dx, dState } = linearRecurrenceBackward({
      a,
      h: outputs[0],
      documents,
      state,
      document,
      dh,
      dState: dNextState,
    });
    return [da, dx, undefined, state && dState, undefined];
  },
  cost(inputs, outputs) {
    const model = flops(inputs, 2);
    return { model, executed: model, elementwise: 0, bytes: traffic(inputs, outputs) };
  },
  evaluate(inputs, outputs) {
    const { batch, length, channels, a, documents, state: initial } = readOperands(inputs);
    const x = floatsOf(inputs[1], 'x');
    const h = new Float64Array(batch * length * channels);
    const { state } = runRecurrence(
      {
        ...{ batch, length, documents, stateSize: channels },
        advance(running, row, t) {
          const token = (row * length + t) * channels;
          for (let channel = 0; channel < channels; channel++) {
            running[channel] = a[token + channel] * running[channel] + x[token + channel];
          }
        },
      },
      length,
      initial,
      (running, row, t) => h.set(running, (row * length + t) * channels),
    );
    store(outputs[0], h);
    store(outputs[1], state);
    store(outputs[2], documents.last());
  },
  inPlace: [
    [1, 3],
    [2, 4],
  ],
  storableOutputs: [0],
});

/**
 * h_t = a_t ⊙ h_{t−1} + x_t, with h = 0 before a document. Returns `h` [B, L, D], and the `state` [B, D] (the last h in
 * float32) and its `document` [B] (0 when the row has no documents).
 */
export function linearRecurrence(
  { a, x, documents, state, document }: RecurrenceInputs,
  options: { readonly dtype?: FloatType } = {},
): { h: Tensor; state: Tensor; document: Tensor } {
  const [h, nextState, nextDocument] = a.graph.apply(
    linearRecurrenceOperation,
    [a, x, documents, state, document],
    { dtype: options.dtype ?? 'float32' },
  );
  return { h, state: nextState, document: nextDocument };
}

export interface RecurrenceBackwardInputs extends Omit<RecurrenceInputs, 'x'> {
  /** [B, L, D], from the forward call. */
  readonly h: Tensor;
  /** [B, L, D]. This, the gradient of the new state [B, D], or both. */
  readonly dh?: Tensor | undefined;
  readonly dState?: Tensor | undefined;
}

/** Gradients of a, x and the old state; that of the state has no meaning when there was none. */
export function linearRecurrenceBackward(inputs: RecurrenceBackwardInputs): {
  da: Tensor;
  dx: Tensor;
  dState: Tensor;
} {
  const { a, h, documents, state, document, dh } = inputs;
  const [da, dx, dState] = a.graph.apply(
    linearRecurrenceBackwardOperation,
    [a, h, documents, state, document, dh, inputs.dState],
    {},
  );
  return { da, dx, dState };
}
