export type { ErrorCode } from './errors.ts';
export { BraidError } from './errors.ts';
export type { Direction, Lane, Location, Node, Rewritten, Rule } from './graph.ts';
export { copyNode, Graph, graphOf, rewrite } from './graph.ts';
export type {
  Attribute,
  Attributes,
  Call,
  Cost,
  FloatValues,
  Operand,
  Operation,
  Values,
} from './operation.ts';
export { defineOperation, findOperation, registeredOperations } from './operation.ts';
export type { DType, Role, Shape, Tensor, TensorType } from './tensor.ts';
export { byteSize, describeType, elementCount, isPersistent, sameShape } from './tensor.ts';
