/**
 * Checks that shape rules share. Each names the operand and what is allowed; the builder adds the operation, the path of
 * the layer and all given types to the message.
 */
import type { DType, Shape, TensorType } from '../graph/index.ts';
import { describeType, sameShape } from '../graph/index.ts';

export type Fail = (message: string) => never;

/** The dtypes of operands that are widened to float32 when they are read, and of results that may be stored so. */
export type FloatType = 'float32' | 'bfloat16';

export const FLOAT32: readonly DType[] = ['float32'];
export const INT32: readonly DType[] = ['int32'];
export const FLOATS: readonly DType[] = ['float32', 'bfloat16'];

/** An input that must be given, with one of the dtypes. */
export function requireInput(
  inputs: readonly (TensorType | undefined)[],
  index: number,
  name: string,
  dtypes: readonly DType[],
  fail: Fail,
): TensorType {
  return optionalInput(inputs, index, name, dtypes, fail) ?? fail(`'${name}' (input ${index}) is missing.`);
}

/** An input that may be absent; when given it must have one of the dtypes. */
export function optionalInput(
  inputs: readonly (TensorType | undefined)[],
  index: number,
  name: string,
  dtypes: readonly DType[],
  fail: Fail,
): TensorType | undefined {
  const type = inputs[index];
  if (type && !dtypes.includes(type.dtype)) {
    return fail(`'${name}' is ${describeType(type)}; allowed: ${dtypes.join(' or ')}.`);
  }
  return type;
}

export function requireShape(type: TensorType, shape: Shape, name: string, fail: Fail): void {
  if (!sameShape(type.shape, shape)) {
    fail(`'${name}' must have shape [${shape.join(', ')}], but is ${describeType(type)}.`);
  }
}

export function requireRank(type: TensorType, name: string, axes: string, rank: number, fail: Fail): void {
  if (type.shape.length !== rank) fail(`'${name}' must have the axes ${axes}, but is ${describeType(type)}.`);
}

/** The size of the last axis; an error for a tensor without axes. */
export function lastAxis(type: TensorType, name: string, fail: Fail): number {
  const size = type.shape.at(-1);
  return size === undefined ? fail(`'${name}' must have at least one axis.`) : size;
}

export function requireFloatType(dtype: DType, fail: Fail): void {
  if (!FLOATS.includes(dtype)) fail(`attribute dtype is '${dtype}'; allowed: ${FLOATS.join(' or ')}.`);
}

export function requireFinite(value: number, name: string, fail: Fail): void {
  if (!Number.isFinite(value)) fail(`attribute ${name} is ${value}; it must be a finite number.`);
}

export function requirePositiveInteger(value: number, name: string, fail: Fail): void {
  if (!Number.isInteger(value) || value < 1)
    fail(`attribute ${name} is ${value}; it must be an integer above 0.`);
}
