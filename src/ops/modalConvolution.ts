/**
 * The long implicit filter of Hyena in its modal form with real poles (Ku et al. 2025, arXiv:2503.01868, section 2): a
 * causal convolution of any length that is also a recurrence with N states per channel. With the few modes that layers have,
 * the recurrence is less work than Toeplitz products, for a kernel too. It starts from zero at every document.
 */
import type { FloatValues, Operand, Tensor, TensorType } from '../graph/index.ts';
import { defineOperation } from '../graph/index.ts';
import { traffic } from './cost.ts';
import type { Documents } from './documents.ts';
import { readDocuments } from './documents.ts';
import type { Recurrence } from './recurrence.ts';
import { chunkCount, runBack, runRecurrence } from './recurrence.ts';
import type { Fail, FloatType } from './require.ts';
import { FLOAT32, FLOATS, INT32, requirePositiveInteger } from './require.ts';
import {
  expectStateDocument,
  expectType,
  floatsOf,
  optionalFloats,
  refuseGradient,
  requireType,
  sizesOf,
  store,
  storedType,
} from './sequence.ts';

export interface ModalInputs {
  /** [B, L, D], float32 or bfloat16. */
  readonly u: Tensor;
  /** [D, N]. */
  readonly residues: Tensor;
  /** [D, N]: logarithms of the poles, below zero for a filter that fades. */
  readonly logPoles: Tensor;
  /** [B, L] int32. */
  readonly documents?: Tensor | undefined;
  /** [B, D, N]: the states before the first position. */
  readonly state?: Tensor | undefined;
  /** [B] int32: the document of the state; needed with `documents` and `state`. */
  readonly document?: Tensor | undefined;
}

export interface ModalOptions {
  /** How many positions the backward pass works on together, from a checkpoint each; 64 when not given. */
  readonly chunk?: number;
  /** How the first output is stored. */
  readonly dtype?: FloatType;
}

type ModalAttributes = { readonly chunk: number; readonly dtype: FloatType };

interface Sizes {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
  readonly modes: number;
}

/** Checks the first six operands, which forward and backward have in common. */
function checkOperands(
  inputs: readonly (TensorType | undefined)[],
  { chunk }: ModalAttributes,
  fail: Fail,
): Sizes {
  const [u, residues, logPoles, documents, state, document] = inputs;
  const [batch, length, channels] = sizesOf(u, 'u', 'B, L, D', fail);
  const modes = sizesOf(residues, 'residues', 'D, N', fail)[1];
  requirePositiveInteger(chunk, 'chunk', fail);
  expectType(u, 'u', [batch, length, channels], FLOATS, fail);
  expectType(residues, 'residues', [channels, modes], FLOAT32, fail);
  requireType(logPoles, 'logPoles', [channels, modes], FLOAT32, fail);
  expectType(documents, 'documents', [batch, length], INT32, fail);
  expectType(state, 'state', [batch, channels, modes], FLOAT32, fail);
  expectType(document, 'document', [batch], INT32, fail);
  expectStateDocument(state, documents, document, 'state', fail);
  return { batch, length, channels, modes };
}

function sizesFrom(inputs: readonly (TensorType | undefined)[]): Sizes {
  const [batch, length, channels] = inputs[0]?.shape ?? [];
  return { batch, length, channels, modes: inputs[1]?.shape[1] ?? 0 };
}

/** The operands as the plain meaning reads them. */
interface Operands extends Sizes {
  readonly u: FloatValues;
  readonly residues: FloatValues;
  /** exp(logPoles), [D, N]. */
  readonly poles: Float64Array;
  readonly documents: Documents;
  readonly state: FloatValues | undefined;
}

function readOperands(inputs: readonly (Operand | undefined)[]): Operands {
  const sizes = sizesFrom(inputs);
  return {
    ...sizes,
    u: floatsOf(inputs[0], 'u'),
    residues: floatsOf(inputs[1], 'residues'),
    poles: Float64Array.from(floatsOf(inputs[2], 'logPoles'), Math.exp),
    documents: readDocuments([sizes.batch, sizes.length], inputs[3], inputs[5]),
    state: optionalFloats(inputs[4], 'state'),
  };
}

/** s ← λ ⊙ s + u on the states [D, N] of a row, every mode of a channel with the same input. */
function modalRecurrence({ batch, length, channels, modes, u, poles, documents }: Operands): Recurrence {
  return {
    ...{ batch, length, documents, stateSize: channels * modes },
    advance(state, row, t) {
      const token = (row * length + t) * channels;
      for (let i = 0; i < state.length; i++)
        state[i] = poles[i] * state[i] + u[token + Math.floor(i / modes)];
    },
  };
}

const modalConvolutionBackwardOperation = defineOperation<ModalAttributes>({
  name: 'modalConvolutionBackward',
  infer(inputs, attributes, fail) {
    const { batch, length, channels, modes } = checkOperands(inputs, attributes, fail);
    const [, , , , , , checkpoints, dz, dState] = inputs;
    const chunks = chunkCount(length, attributes.chunk);
    requireType(checkpoints, 'checkpoints', [batch, chunks, channels, modes], FLOAT32, fail);
    if (!dz && !dState) return fail(`neither 'dz' nor 'dState' is given.`);
    expectType(dz, 'dz', [batch, length, channels], FLOATS, fail);
    expectType(dState, 'dState', [batch, channels, modes], FLOAT32, fail);
    return [
      storedType([batch, length, channels], attributes.dtype, fail),
      { shape: [channels, modes], dtype: 'float32' },
      { shape: [channels, modes], dtype: 'float32' },
      { shape: [batch, channels, modes], dtype: 'float32' },
    ];
  },
  cost(inputs, outputs) {
    const { batch, length, channels, modes } = sizesFrom(inputs);
    return {
      model: 0,
      // The states again; their gradient, the share of it in du, what is carried on; the two sums of the parameters.
      executed: 12 * batch * length * channels * modes,
      elementwise: channels * modes, // the poles
      bytes: traffic(inputs, outputs),
    };
  },
  evaluate(inputs, outputs, { chunk }) {
    const operands = readOperands(inputs);
    const { batch, length, channels, modes, residues, poles } = operands;
    const checkpoints = floatsOf(inputs[6], 'checkpoints');
    const dz = optionalFloats(inputs[7], 'dz');
    const dNextState = optionalFloats(inputs[8], 'dState');
    const du = new Float64Array(batch * length * channels);
    const dResidues = new Float64Array(channels * modes);
    const dLogPoles = new Float64Array(channels * modes);
    const recurrence = modalRecurrence(operands);
    const dState = runBack(
      recurrence,
      chunk,
      checkpoints,
      dNextState,
      ({ before, after, carried }, row, t) => {
        const token = (row * length + t) * channels;
        for (let i = 0; i < carried.length; i++) {
          const at = token + Math.floor(i / modes);
          const dOut = dz ? dz[at] : 0;
          const gradient = carried[i] + dOut * residues[i];
          dResidues[i] += dOut * after[i];
          du[at] += gradient;
          carried[i] = gradient * poles[i];
          dLogPoles[i] += carried[i] * before[i];
        }
      },
    );
    store(outputs[0], du);
    store(outputs[1], dResidues);
    store(outputs[2], dLogPoles);
    store(outputs[3], dState);
  },
  storableOutputs: [0],
});

const modalConvolutionOperation = defineOperation<ModalAttributes>({
  name: 'modalConvolution',
  infer(inputs, attributes, fail) {
    const { batch, length, channels, modes } = checkOperands(inputs, attributes, fail);
    return [
      storedType([batch, length, channels], attributes.dtype, fail),
      { shape: [batch, chunkCount(length, attributes.chunk), channels, modes], dtype: 'float32' },
      { shape: [batch, channels, modes], dtype: 'float32' },
      { shape: [batch], dtype: 'int32' },
    ];
  },
  gradient({ inputs, outputs, attributes }, [dz, dCheckpoints, dNextState]) {
    refuseGradient(dCheckpoints, 'modalConvolution', 'checkpoints');
    const [u, residues, logPoles, documents, state, document] = inputs;
    if (!u || !residues || !logPoles || (!dz && !dNextState)) return inputs.map(() => undefined);
    const { du, dResidues, dLogPoles, dState } = modalConvolutionBackward(
      {
        ...{ u, residues, logPoles, documents, state, document },
        ...{ checkpoints: outputs[1], dz, dState: dNextState },
      },
      { chunk: attributes.chunk },
    );
    return [du, dResidues, dLogPoles, undefined, state && dState, undefined];
  },
  cost(inputs, outputs) {
    const { batch, length, channels, modes } = sizesFrom(inputs);
    const numbers = batch * length * channels;
    return {
      model: numbers * (4 * modes + 2),
      executed: 4 * numbers * modes,
      elementwise: channels * modes, // the poles
      bytes: traffic(inputs, outputs),
    };
  },
  evaluate(inputs, outputs, { chunk }) {
    const operands = readOperands(inputs);
    const { batch, length, channels, modes, residues, documents } = operands;
    const z = new Float64Array(batch * length * channels);
    const course = runRecurrence(modalRecurrence(operands), chunk, operands.state, (state, row, t) => {
      const token = (row * length + t) * channels;
      for (let i = 0; i < state.length; i++) z[token + Math.floor(i / modes)] += residues[i] * state[i];
    });
    store(outputs[0], z);
    store(outputs[1], course.checkpoints);
    store(outputs[2], course.state);
    store(outputs[3], documents.last());
  },
  inPlace: [
    [2, 4],
    [3, 5],
  ],
  storableOutputs: [0],
});

/**
 * s_t = exp(logPoles) ⊙ s_{t−1} + u_t with N states per channel, z_t = Σ_n R_n s_{t,n}: the causal convolution of u with
 * h[τ] = Σ_n R_n exp(τ · logPoles_n), τ = 0, 1, …. Returns `z` [B, L, D]; the `state` [B, D, N] and its `document` [B]
 * after the last position (0 when the row has no documents); and `checkpoints` [B, ⌈L/chunk⌉, D, N], the states that
 * enter positions 0, chunk, 2·chunk …, which the gradient starts from.
 */
export function modalConvolution(
  { u, residues, logPoles, documents, state, document }: ModalInputs,
  options: ModalOptions = {},
): { z: Tensor; checkpoints: Tensor; state: Tensor; document: Tensor } {
  const [z, checkpoints, nextState, nextDocument] = u.graph.apply(
    modalConvolutionOperation,
    [u, residues, logPoles, documents, state, document],
    { chunk: options.chunk ?? 64, dtype: options.dtype ?? 'float32' },
  );
  return { z, checkpoints, state: nextState, document: nextDocument };
}

export interface ModalBackwardInputs extends ModalInputs {
  /** [B, ⌈L/chunk⌉, D, N], from the forward call. */
  readonly checkpoints: Tensor;
  /** [B, L, D]. This, the gradient of the new state [B, D, N], or both. */
  readonly dz?: Tensor | undefined;
  readonly dState?: Tensor | undefined;
}

/**
 * Gradients of input, residues, logPoles and old state; that of the state has no meaning when there was none. `chunk`
 * must be that of the forward call; `dtype` says how du is stored.
 */
export function modalConvolutionBackward(
  inputs: ModalBackwardInputs,
  options: { readonly chunk: number; readonly dtype?: FloatType },
): { du: Tensor; dResidues: Tensor; dLogPoles: Tensor; dState: Tensor } {
  const { u, residues, logPoles, documents, state, document, checkpoints, dz } = inputs;
  const [du, dResidues, dLogPoles, dState] = u.graph.apply(
    modalConvolutionBackwardOperation,
    [u, residues, logPoles, documents, state, document, checkpoints, dz, inputs.dState],
    { chunk: options.chunk, dtype: options.dtype ?? 'float32' },
  );
  return { du, dResidues, dLogPoles, dState };
}
