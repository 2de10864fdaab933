/**
 * What the sequence operations share: checks of operand types when a call is built, access to operand values when its
 * plain meaning runs.
 */
import type { DType, FloatValues, Operand, Shape, Tensor, TensorType } from '../graph/index.ts';
import { BraidError, describeType, sameShape } from '../graph/index.ts';
import { roundStored } from './plain.ts';
import type { Fail, FloatType } from './require.ts';
import { INT32, requireFloatType } from './require.ts';

/** The sizes of an operand that fixes the sizes of the others. */
export function sizesOf(type: TensorType | undefined, name: string, axes: string, fail: Fail): Shape {
  if (!type) return fail(`'${name}' must be given.`);
  const rank = axes.split(',').length;
  if (type.shape.length !== rank) {
    return fail(`'${name}' must have the shape [${axes}], not ${describeType(type)}.`);
  }
  if (type.shape.some((size) => size < 1)) {
    return fail(`'${name}' must not have an empty axis, and is ${describeType(type)}.`);
  }
  return type.shape;
}

/** Checks an operand that may be absent. */
export function expectType(
  type: TensorType | undefined,
  name: string,
  shape: Shape,
  dtypes: readonly DType[],
  fail: Fail,
): void {
  if (!type || (sameShape(type.shape, shape) && dtypes.includes(type.dtype))) return;
  fail(`'${name}' must be ${dtypes.join(' or ')} [${shape.join(', ')}], not ${describeType(type)}.`);
}

/** Checks an operand that must be there. */
export function requireType(
  type: TensorType | undefined,
  name: string,
  shape: Shape,
  dtypes: readonly DType[],
  fail: Fail,
): void {
  if (!type) fail(`'${name}' must be given.`);
  expectType(type, name, shape, dtypes, fail);
}

/**
 * Checks the operands of a call that takes a piece into a cache: cache [B, C, …] float32 or int32, fresh [B, L, …] and
 * used [B].
 */
export function checkPiece(
  [cache, fresh, used]: readonly (TensorType | undefined)[],
  fail: Fail,
): { readonly cache: TensorType; readonly length: number } {
  if (!cache || !fresh) return fail(`'cache' and 'fresh' must be given.`);
  if (cache.shape.length < 2 || fresh.shape.length !== cache.shape.length) {
    return fail(`'cache' must be [B, C, …] and 'fresh' [B, L, …].`);
  }
  if (cache.dtype === 'bfloat16') return fail(`'cache' must be float32 or int32.`);
  const [batch, , ...rest] = cache.shape;
  const length = fresh.shape[1];
  expectType(fresh, 'fresh', [batch, length, ...rest], [cache.dtype], fail);
  requireType(used, 'used', [batch], INT32, fail);
  return { cache, length };
}

/** The type of a result that may be stored in BF16. */
export function storedType(shape: Shape, dtype: FloatType, fail: Fail): TensorType {
  requireFloatType(dtype, fail);
  return { shape, dtype };
}

/** How several results of one call are stored. */
export type StoredApart = {
  readonly dtype: FloatType;
  /** The outputs that are float32 although the others are stored in `dtype`. */
  readonly wide?: readonly number[];
};

/** The types of results that may be stored in BF16, the first being output 0. */
export function storedTypes(
  shapes: readonly Shape[],
  { dtype, wide }: StoredApart,
  fail: Fail,
): TensorType[] {
  return shapes.map((shape, output) => storedType(shape, wide?.includes(output) ? 'float32' : dtype, fail));
}

/**
 * A state and the documents of a row go together: without the number of the state's document nobody could tell whether
 * the first token may read it.
 */
export function expectStateDocument(
  state: TensorType | undefined,
  documents: TensorType | undefined,
  document: TensorType | undefined,
  name: string,
  fail: Fail,
): void {
  if (state && documents && !document) {
    fail(`'${name}' and 'documents' are given without 'document', the document number of the ${name}.`);
  }
}

/** An output of a forward call that exists for its backward call only has no gradient of its own. */
export function refuseGradient(gradient: Tensor | undefined, operation: string, output: string): void {
  if (!gradient) return;
  throw new BraidError(
    'unsupported',
    `${operation}: the loss depends on '${output}', which has no gradient: it is kept for the backward pass. ` +
      `Build the loss from the first output.`,
  );
}

export function floatsOf(operand: Operand | undefined, name: string): FloatValues {
  const values = optionalFloats(operand, name);
  if (!values) throw new BraidError('executor', `The operand '${name}' has no values.`);
  return values;
}

export function optionalFloats(operand: Operand | undefined, name: string): FloatValues | undefined {
  if (operand?.values instanceof Int32Array) {
    throw new BraidError('executor', `The operand '${name}' must hold floats and holds integers.`);
  }
  return operand?.values;
}

export function integersOf(operand: Operand | undefined, name: string): Int32Array {
  const values = optionalIntegers(operand, name);
  if (!values) throw new BraidError('executor', `The operand '${name}' has no values.`);
  return values;
}

export function optionalIntegers(operand: Operand | undefined, name: string): Int32Array | undefined {
  if (!operand) return undefined;
  if (operand.values instanceof Int32Array) return operand.values;
  throw new BraidError('executor', `The operand '${name}' must hold integers and holds floats.`);
}

/**
 * Writes a finished result. Plain meanings sum in float64 in a place of their own and write at the end: sums are then
 * as exact as they can be, and an output may share its values with an input.
 */
export function store(output: Operand | undefined, result: ArrayLike<number>): void {
  if (!output) return;
  output.values.set(result);
  roundStored(output);
}
