/** Arithmetic on tensors of one shape: add, subtract, multiply, scale. */
import type { Operation, Tensor } from '../graph/index.ts';
import { defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import { operand, roundStored } from './plain.ts';
import type { FloatType } from './require.ts';
import { FLOAT32, FLOATS, requireFinite, requireFloatType, requireInput, requireShape } from './require.ts';

/** Options of operations whose result may be stored in bfloat16. */
export interface Stored {
  /** How the result is stored; it is computed in float32 either way. Default: `float32`. */
  readonly dtype?: FloatType;
}

type BinaryAttributes = { readonly dtype: FloatType };

/** Registers an operation on two tensors of one shape. */
function defineBinary(
  name: string,
  meaning: (a: number, b: number) => number,
  gradient: (a: Tensor, b: Tensor, dy: Tensor) => readonly Tensor[],
): Operation<BinaryAttributes> {
  return defineOperation<BinaryAttributes>({
    name,
    storableOutputs: [0],
    inPlace: [
      [0, 0],
      [0, 1],
    ],
    infer(inputs, { dtype }, fail) {
      const a = requireInput(inputs, 0, 'a', FLOATS, fail);
      const b = requireInput(inputs, 1, 'b', FLOATS, fail);
      requireShape(b, a.shape, 'b', fail);
      requireFloatType(dtype, fail);
      return [{ shape: a.shape, dtype }];
    },
    gradient: ({ inputs: [a, b] }, [dy]) => (a && b && dy ? gradient(a, b, dy) : []),
    cost: (inputs, outputs) => elementwiseCost(elementCount(outputs[0].shape), inputs, outputs),
    evaluate(inputs, [y]) {
      if (!y) return;
      const a = operand(inputs, 0).values;
      const b = operand(inputs, 1).values;
      for (let i = 0; i < y.values.length; i++) y.values[i] = meaning(a[i], b[i]);
      roundStored(y);
    },
  });
}

const addOperation = defineBinary(
  'add',
  (a, b) => a + b,
  (_a, _b, dy) => [dy, dy],
);

const subtractOperation = defineBinary(
  'subtract',
  (a, b) => a - b,
  (_a, _b, dy) => [dy, scale(dy, -1)],
);

const multiplyOperation = defineBinary(
  'multiply',
  (a, b) => a * b,
  (a, b, dy) => [multiply(dy, b), multiply(dy, a)],
);

/** a + b for tensors of one shape, float32 or bfloat16. */
export function add(a: Tensor, b: Tensor, { dtype = 'float32' }: Stored = {}): Tensor {
  return graphOf([a, b]).apply(addOperation, [a, b], { dtype })[0];
}

/** a − b for tensors of one shape, float32 or bfloat16. */
export function subtract(a: Tensor, b: Tensor, { dtype = 'float32' }: Stored = {}): Tensor {
  return graphOf([a, b]).apply(subtractOperation, [a, b], { dtype })[0];
}

/** a · b, element by element, for tensors of one shape, float32 or bfloat16. */
export function multiply(a: Tensor, b: Tensor, { dtype = 'float32' }: Stored = {}): Tensor {
  return graphOf([a, b]).apply(multiplyOperation, [a, b], { dtype })[0];
}

type ScaleAttributes = { readonly factor: number; readonly dtype: FloatType };

const scaleOperation = defineOperation<ScaleAttributes>({
  name: 'scale',
  storableOutputs: [0],
  inPlace: [[0, 0]],
  infer(inputs, { factor, dtype }, fail) {
    const x = requireInput(inputs, 0, 'x', FLOAT32, fail);
    requireFinite(factor, 'factor', fail);
    requireFloatType(dtype, fail);
    return [{ shape: x.shape, dtype }];
  },
  gradient: ({ attributes }, [dy]) => [dy && scale(dy, attributes.factor)],
  cost: (inputs, outputs) => elementwiseCost(elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [y], { factor }) {
    if (!y) return;
    const x = operand(inputs, 0).values;
    for (let i = 0; i < y.values.length; i++) y.values[i] = x[i] * factor;
    roundStored(y);
  },
});

/** x · factor, with the factor a constant of the program. x is float32. */
export function scale(x: Tensor, factor: number, { dtype = 'float32' }: Stored = {}): Tensor {
  return x.graph.apply(scaleOperation, [x], { factor, dtype })[0];
}
