/** Pointwise activations and gated linear units, with their backward operations. */
import type { Tensor } from '../graph/index.ts';
import { defineOperation, elementCount, graphOf } from '../graph/index.ts';
import type { ActivationKind } from './activations.ts';
import { activations } from './activations.ts';
import { elementwiseCost } from './cost.ts';
import type { Stored } from './elementwise.ts';
import { operand, roundStored } from './plain.ts';
import type { Fail } from './require.ts';
import { FLOATS, requireFloatType, requireInput, requireShape } from './require.ts';
import type { StoredApart } from './sequence.ts';
import { storedTypes } from './sequence.ts';

export interface ActivationOptions extends Stored {
  readonly kind: ActivationKind;
}

type ActivationAttributes = { readonly kind: ActivationKind } & StoredApart;

function requireAttributes({ kind, dtype }: ActivationAttributes, fail: Fail): void {
  if (!Object.hasOwn(activations, kind)) {
    fail(`attribute kind is '${kind}'; allowed: ${Object.keys(activations).join(', ')}.`);
  }
  requireFloatType(dtype, fail);
}

const activationOperation = defineOperation<ActivationAttributes>({
  name: 'activation',
  storableOutputs: [0],
  inPlace: [[0, 0]],
  infer(inputs, attributes, fail) {
    const x = requireInput(inputs, 0, 'x', FLOATS, fail);
    requireAttributes(attributes, fail);
    return [{ shape: x.shape, dtype: attributes.dtype }];
  },
  gradient: ({ inputs: [x], attributes }, [dy]) => [
    x && dy && activationBackward(x, dy, { kind: attributes.kind }),
  ],
  cost: (inputs, outputs, { kind }) =>
    elementwiseCost(activations[kind].operations * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [y], { kind }) {
    if (!y) return;
    const x = operand(inputs, 0).values;
    const { value } = activations[kind];
    for (let i = 0; i < y.values.length; i++) y.values[i] = value(x[i]);
    roundStored(y);
  },
});

/** A nonlinearity of every element: `silu`, `gelu` (tanh form), `geluErf` (as defined), `relu2`, `sigmoid`, `softplus`, `tanh` or `exp`. */
export function activation(x: Tensor, { kind, dtype = 'float32' }: ActivationOptions): Tensor {
  return x.graph.apply(activationOperation, [x], { kind, dtype })[0];
}

const activationBackwardOperation = defineOperation<ActivationAttributes>({
  name: 'activationBackward',
  storableOutputs: [0],
  inPlace: [
    [0, 0],
    [0, 1],
  ],
  infer(inputs, attributes, fail) {
    const x = requireInput(inputs, 0, 'x', FLOATS, fail);
    const dy = requireInput(inputs, 1, 'dy', FLOATS, fail);
    requireShape(dy, x.shape, 'dy', fail);
    requireAttributes(attributes, fail);
    return [{ shape: x.shape, dtype: attributes.dtype }];
  },
  cost: (inputs, outputs, { kind }) =>
    elementwiseCost((activations[kind].operations + 3) * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [dx], { kind }) {
    if (!dx) return;
    const x = operand(inputs, 0).values;
    const dy = operand(inputs, 1).values;
    const { derivative } = activations[kind];
    for (let i = 0; i < dx.values.length; i++) dx.values[i] = dy[i] * derivative(x[i]);
    roundStored(dx);
  },
});

/** dx = dy · f′(x), the gradient of `activation`. */
export function activationBackward(
  x: Tensor,
  dy: Tensor,
  { kind, dtype = 'float32' }: ActivationOptions,
): Tensor {
  return graphOf([x, dy]).apply(activationBackwardOperation, [x, dy], { kind, dtype })[0];
}

const gluOperation = defineOperation<ActivationAttributes>({
  name: 'glu',
  storableOutputs: [0],
  inPlace: [
    [0, 0],
    [0, 1],
  ],
  infer(inputs, attributes, fail) {
    const gate = requireInput(inputs, 0, 'gate', FLOATS, fail);
    const up = requireInput(inputs, 1, 'up', FLOATS, fail);
    requireShape(up, gate.shape, 'up', fail);
    requireAttributes(attributes, fail);
    return [{ shape: gate.shape, dtype: attributes.dtype }];
  },
  gradient({ inputs: [gate, up], attributes }, [dy]) {
    if (!gate || !up || !dy) return [];
    const { dGate, dUp } = gluBackward(gate, up, dy, { kind: attributes.kind });
    return [dGate, dUp];
  },
  cost: (inputs, outputs, { kind }) =>
    elementwiseCost((activations[kind].operations + 1) * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [y], { kind }) {
    if (!y) return;
    const gate = operand(inputs, 0).values;
    const up = operand(inputs, 1).values;
    const { value } = activations[kind];
    for (let i = 0; i < y.values.length; i++) y.values[i] = value(gate[i]) * up[i];
    roundStored(y);
  },
});

/**
 * f(gate) · up, a gated linear unit; the kind `silu` makes it SwiGLU (Shazeer 2020, arXiv:2002.05202). `gate` and `up`
 * have one shape, float32 or bfloat16.
 */
export function glu(gate: Tensor, up: Tensor, { kind, dtype = 'float32' }: ActivationOptions): Tensor {
  return graphOf([gate, up]).apply(gluOperation, [gate, up], { kind, dtype })[0];
}

const gluBackwardOperation = defineOperation<ActivationAttributes>({
  name: 'gluBackward',
  storableOutputs: [0, 1],
  inPlace: [
    [0, 0],
    [0, 2],
    [1, 1],
    [1, 2],
  ],
  infer(inputs, attributes, fail) {
    const gate = requireInput(inputs, 0, 'gate', FLOATS, fail);
    const up = requireInput(inputs, 1, 'up', FLOATS, fail);
    const dy = requireInput(inputs, 2, 'dy', FLOATS, fail);
    requireShape(up, gate.shape, 'up', fail);
    requireShape(dy, gate.shape, 'dy', fail);
    requireAttributes(attributes, fail);
    return storedTypes([gate.shape, gate.shape], attributes, fail);
  },
  cost: (inputs, outputs, { kind }) =>
    elementwiseCost((activations[kind].operations + 6) * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [dGate, dUp], { kind }) {
    const gate = operand(inputs, 0).values;
    const up = operand(inputs, 1).values;
    const dy = operand(inputs, 2).values;
    const { value, derivative } = activations[kind];
    for (let i = 0; i < dy.length; i++) {
      const [slope, gated] = [dy[i] * up[i] * derivative(gate[i]), dy[i] * value(gate[i])];
      if (dGate) dGate.values[i] = slope;
      if (dUp) dUp.values[i] = gated;
    }
    if (dGate) roundStored(dGate);
    if (dUp) roundStored(dUp);
  },
});

/** The gradients of `glu`: dGate = dy · up · f′(gate), dUp = dy · f(gate). */
export function gluBackward(
  gate: Tensor,
  up: Tensor,
  dy: Tensor,
  { kind, dtype = 'float32' }: ActivationOptions,
): { dGate: Tensor; dUp: Tensor } {
  const outputs = graphOf([gate, up]).apply(gluBackwardOperation, [gate, up, dy], { kind, dtype });
  return { dGate: outputs[0], dUp: outputs[1] };
}
