/**
 * The registry of operations. One entry holds everything known about an operation: result types, gradient, cost and
 * plain meaning. Executors and passes read entries; none of them knows an operation by heart.
 */
import { BraidError } from './errors.ts';
import type { Tensor, TensorType } from './tensor.ts';

/** Attributes are constants of a call. They travel to the native side as JSON. */
export type Attribute = number | string | boolean | readonly Attribute[];
export type Attributes = { readonly [name: string]: Attribute | undefined };

/**
 * What a call costs.
 *
 * `model` counts what the mathematics needs (matrix products, causal scores and values n(n+1)/2, convolutions, scans);
 * `executed` counts what the kernel does, recomputation included; a multiply-add is 2. `elementwise` is everything
 * else, counted apart. `bytes` is the memory traffic when every operand is read and every result written once.
 */
export interface Cost {
  readonly model: number;
  readonly executed: number;
  readonly elementwise: number;
  readonly bytes: number;
}

/** Values as the plain meaning sees them. BF16 tensors are given as rounded floats. */
export type FloatValues = Float32Array | Float64Array;
export type Values = FloatValues | Int32Array;

/** One operand of a plain meaning: its type and its values, row-major. */
export interface Operand<V extends Values = Values> extends TensorType {
  readonly values: V;
}

/** A call whose gradient is asked for. */
export interface Call<A extends Attributes> {
  readonly inputs: readonly (Tensor | undefined)[];
  readonly outputs: readonly Tensor[];
  readonly attributes: A;
}

export interface Operation<A extends Attributes = Attributes> {
  readonly name: string;

  /**
   * Result types. Throws `BraidError('shape' | 'dtype')` through `fail`; the builder adds the operation and the path of
   * the layer. An optional input that is not given is `undefined`.
   */
  infer(
    inputs: readonly (TensorType | undefined)[],
    attributes: A,
    fail: (message: string) => never,
  ): TensorType[];

  /**
   * Gradients of the inputs as tensors of the same graph, given those of the outputs (`undefined`: not needed, or
   * zero). Absent for an operation without gradient. Inputs of dtype int32 get `undefined`.
   */
  gradient?(call: Call<A>, outputGradients: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[];

  cost(inputs: readonly (TensorType | undefined)[], outputs: readonly TensorType[], attributes: A): Cost;

  /**
   * The plain meaning: fills the outputs. Outputs are not cleared beforehand, and one that nobody reads is absent.
   * An output may share its values with the input named in `inPlace`.
   */
  evaluate(
    inputs: readonly (Operand | undefined)[],
    outputs: readonly (Operand | undefined)[],
    attributes: A,
  ): void;

  /** Pairs [output, input] that may share one buffer: the operation writes its result over that input. */
  readonly inPlace?: readonly (readonly [output: number, input: number])[];

  /** Pairs [output, input]: the input, absent as a rule, is added to what the output would be without it, before it is stored. */
  readonly addends?: readonly (readonly [output: number, input: number])[];

  /** Pairs [output, copy]: the second output is the first one rounded to BF16. */
  readonly lowCopies?: readonly (readonly [output: number, copy: number])[];

  /** True when the result is the first input's buffer seen with another shape (no kernel runs). */
  readonly alias?: boolean;

  /** Bytes of scratch memory that the native kernel needs in the arena. */
  workspace?(
    inputs: readonly (TensorType | undefined)[],
    outputs: readonly TensorType[],
    attributes: A,
    threads: number,
  ): number;

  /** Inputs that a precision pass casts to BF16 (operands of matrix products). */
  readonly lowPrecisionInputs?: readonly number[];

  /**
   * Outputs whose dtype follows the attribute `dtype`, so that a following cast can be folded into the call. An operation
   * with several of them also has the attribute `wide`: those that stay float32 nevertheless.
   */
  readonly storableOutputs?: readonly number[];
}

const registry = new Map<string, Operation>();

/** Registers an operation and returns it. A name can be taken once. */
export function defineOperation<A extends Attributes>(operation: Operation<A>): Operation<A> {
  if (registry.has(operation.name)) {
    throw new BraidError('graph', `Operation '${operation.name}' is registered twice; names must be unique.`);
  }
  registry.set(operation.name, operation as unknown as Operation);
  return operation;
}

export function findOperation(name: string): Operation {
  const operation = registry.get(name);
  if (!operation) {
    throw new BraidError(
      'graph',
      `There is no operation '${name}'. Known: ${[...registry.keys()].sort().join(', ')}.`,
    );
  }
  return operation;
}

export function registeredOperations(): readonly Operation[] {
  return [...registry.values()];
}
