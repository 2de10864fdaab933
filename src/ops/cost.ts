/** Costs that operations share. FLOPs count a multiply-add as 2. */
import type { Cost, TensorType } from '../graph/index.ts';
import { byteSize } from '../graph/index.ts';

/** Memory traffic when every operand is read and every result written once. */
export function traffic(
  inputs: readonly (TensorType | undefined)[],
  outputs: readonly (TensorType | undefined)[],
): number {
  let bytes = 0;
  for (const type of inputs) if (type) bytes += byteSize(type);
  for (const type of outputs) if (type) bytes += byteSize(type);
  return bytes;
}

/** An operation without matrix products: `operations` is its rough number of arithmetic operations. */
export function elementwiseCost(
  operations: number,
  inputs: readonly (TensorType | undefined)[],
  outputs: readonly (TensorType | undefined)[],
): Cost {
  return { model: 0, executed: 0, elementwise: operations, bytes: traffic(inputs, outputs) };
}
