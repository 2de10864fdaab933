import type { DType } from '../graph/index.ts';

export type ReferencePrecision = 'float32' | 'float64';

/** Arrays that stand for a tensor: BF16 tensors hold rounded floats, and in float64 all float tensors hold doubles. */
export type ReferenceValues = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** Values of a type over part of a buffer. */
export function viewValues(
  buffer: ArrayBuffer,
  byteOffset: number,
  count: number,
  dtype: DType,
  precision: ReferencePrecision,
): ReferenceValues {
  if (dtype === 'int32') return new Int32Array(buffer, byteOffset, count);
  if (precision === 'float64') return new Float64Array(buffer, byteOffset, count);
  return new Float32Array(buffer, byteOffset, count);
}

/** Bytes of one element as the reference executor keeps it. */
export function elementBytes(dtype: DType, precision: ReferencePrecision): number {
  return dtype !== 'int32' && precision === 'float64' ? 8 : 4;
}
