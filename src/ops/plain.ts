/**
 * What plain meanings share. They compute in the host's numbers (float64) and write into the values of the result, which
 * rounds to float32 where the executor runs in float32.
 */
import type { Operand, Shape } from '../graph/index.ts';
import { BraidError } from '../graph/index.ts';

/** The operand of a required input. Its presence was checked when the graph was built. */
export function operand(inputs: readonly (Operand | undefined)[], index: number): Operand {
  const found = inputs[index];
  if (!found) throw new BraidError('graph', `A plain meaning was called without its input ${index}.`);
  return found;
}

/** The product of all axes but the last: the rows of a row-major matrix. */
export function rowCount(shape: Shape): number {
  let rows = 1;
  for (let axis = 0; axis < shape.length - 1; axis++) rows *= shape[axis];
  return rows;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The nearest bfloat16 number, ties to even; NaN and infinities stay what they are. */
export function roundToBfloat16(value: number): number {
  float[0] = value;
  const pattern = bits[0];
  if ((pattern & 0x7f800000) === 0x7f800000) return float[0];
  const odd = (pattern >>> 16) & 1;
  bits[0] = ((pattern + 0x7fff + odd) & 0xffff0000) >>> 0;
  return float[0];
}

/**
 * Rounds the values of a result that is stored in bfloat16. Nothing is rounded in float64, where gradients are compared
 * with finite differences.
 */
export function roundStored(result: Operand): void {
  if (result.dtype !== 'bfloat16' || !(result.values instanceof Float32Array)) return;
  const { values } = result;
  for (let i = 0; i < values.length; i++) values[i] = roundToBfloat16(values[i]);
}
