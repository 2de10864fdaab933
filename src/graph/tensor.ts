/**
 * Symbolic tensors. A tensor has a shape, a dtype and a role; it holds no values. Values live in buffers that an
 * executor binds when a compiled program is loaded.
 */
import type { Graph, Node } from './graph.ts';

export type DType = 'float32' | 'bfloat16' | 'int32';
export type Shape = readonly number[];

/**
 * What a tensor is for. `parameter`, `shadow` (the BF16 copy of a parameter), `gradient`, `optimizer` and `state` are
 * persistent: one buffer each, shared by all programs of a store. `input` and `temporary` live in a program's arena.
 */
export type Role = 'parameter' | 'shadow' | 'gradient' | 'optimizer' | 'state' | 'input' | 'temporary';

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

export interface Tensor extends TensorType {
  readonly id: number;
  readonly graph: Graph;
  readonly role: Role;
  /** Name of a source (parameter, input, state …); empty for temporaries. */
  readonly name: string;
  /** The node that computes the tensor; absent for sources. */
  readonly producer?: { readonly node: Node; readonly output: number };
}

const bytesOf: Record<DType, number> = { float32: 4, bfloat16: 2, int32: 4 };

export function elementCount(shape: Shape): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}

export function byteSize(type: TensorType): number {
  return elementCount(type.shape) * bytesOf[type.dtype];
}

export function isPersistent(role: Role): boolean {
  return role !== 'input' && role !== 'temporary';
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** `float32[2, 8, 64]`, as it appears in error messages. */
export function describeType(type: TensorType): string {
  return `${type.dtype}[${type.shape.join(', ')}]`;
}
