/**
 * Routing of positions: a branch gets some positions of every row, and its results go back to where they came from. The
 * positions are constants of the program; split and merge are each other's gradient.
 */
import type { DType, Shape, Tensor, Values } from '../graph/index.ts';
import { defineOperation, describeType, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import { operand } from './plain.ts';
import type { Fail } from './require.ts';
import { requireInput, requirePositiveInteger } from './require.ts';

/** The positions of one part: ranges [start, end) of a row, in the order in which the part sees them. */
export type Ranges = readonly (readonly [start: number, end: number])[];

const ANY: readonly DType[] = ['float32', 'bfloat16', 'int32'];

/** How many positions a part has. */
export function positionCount(ranges: Ranges): number {
  let count = 0;
  for (const [start, end] of ranges) count += end - start;
  return count;
}

function requireRanges(parts: readonly Ranges[], length: number, fail: Fail): void {
  const all = parts.flat().sort(([a], [b]) => a - b);
  let previous = 0;
  for (const [start, end] of all) {
    if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end > length || start >= end) {
      fail(`range [${start}, ${end}) is not a range of positions in [0, ${length}).`);
    }
    if (start < previous) fail(`range [${start}, ${end}) overlaps another one; a position has one place.`);
    previous = end;
  }
  parts.forEach((ranges, part) => {
    if (ranges.length === 0) fail(`part ${part} has no positions; leave it out.`);
  });
}

type SplitAttributes = { readonly ranges: readonly Ranges[] };

const splitOperation = defineOperation<SplitAttributes>({
  name: 'splitPositions',
  infer(inputs, { ranges }, fail) {
    const x = requireInput(inputs, 0, 'x', ANY, fail);
    if (x.shape.length < 2) return fail(`'x' must have the axes [B, L, …], but is ${describeType(x)}.`);
    const [batch, length, ...rest] = x.shape;
    requireRanges(ranges, length, fail);
    return ranges.map((part) => ({ shape: [batch, positionCount(part), ...rest], dtype: x.dtype }));
  },
  gradient({ inputs: [x], attributes }, gradients) {
    // Positions of parts without gradient are zero, as are positions in no part.
    const parts: Tensor[] = [];
    const ranges: Ranges[] = [];
    gradients.forEach((gradient, part) => {
      if (!gradient) return;
      parts.push(gradient);
      ranges.push(attributes.ranges[part]);
    });
    if (!x || x.dtype === 'int32' || parts.length === 0) return [undefined];
    return [mergePositions(parts, ranges, x.shape[1])];
  },
  cost: (_, outputs) => elementwiseCost(0, outputs, outputs),
  evaluate(inputs, outputs, { ranges }) {
    const x = operand(inputs, 0);
    ranges.forEach((part, index) => {
      const y = outputs[index];
      if (y) movePositions(part, x.shape, (row, partRow) => copyRows(x.values, row, y.values, partRow));
    });
  },
});

/**
 * x[B, L, …] → one tensor [B, Lᵢ, …] per part, which holds the positions of `ranges[i]` in the order given. Ranges of
 * all parts together never overlap; positions may be left out. Any dtype.
 */
export function splitPositions(x: Tensor, ranges: readonly Ranges[]): Tensor[] {
  return x.graph.apply(splitOperation, [x], { ranges });
}

type MergeAttributes = { readonly ranges: readonly Ranges[]; readonly length: number };

const mergeOperation = defineOperation<MergeAttributes>({
  name: 'mergePositions',
  infer(inputs, { ranges, length }, fail) {
    requirePositiveInteger(length, 'length', fail);
    requireRanges(ranges, length, fail);
    if (inputs.length !== ranges.length)
      return fail(`${inputs.length} parts, but ${ranges.length} range lists.`);
    const first = requireInput(inputs, 0, 'y0', ANY, fail);
    const [batch, , ...rest] = first.shape;
    ranges.forEach((part, index) => {
      const y = requireInput(inputs, index, `y${index}`, [first.dtype], fail);
      const expected = [batch, positionCount(part), ...rest];
      if (y.shape.length < 2 || describeType(y) !== describeType({ shape: expected, dtype: first.dtype })) {
        fail(`'y${index}' must be ${describeType({ shape: expected, dtype: first.dtype })}.`);
      }
    });
    return [{ shape: [batch, length, ...rest], dtype: first.dtype }];
  },
  gradient: ({ inputs, attributes }, [dx]) =>
    dx && dx.dtype !== 'int32' ? splitPositions(dx, attributes.ranges) : inputs.map(() => undefined),
  cost: (inputs, outputs) => elementwiseCost(0, inputs, outputs),
  evaluate(inputs, [x], { ranges }) {
    if (!x) return;
    x.values.fill(0);
    ranges.forEach((part, index) => {
      const y = operand(inputs, index);
      movePositions(part, x.shape, (row, partRow) => copyRows(y.values, partRow, x.values, row));
    });
  },
});

/** The inverse of `splitPositions`: parts [B, Lᵢ, …] → [B, length, …]. Positions in no range are zero. */
export function mergePositions(parts: readonly Tensor[], ranges: readonly Ranges[], length: number): Tensor {
  return graphOf(parts).apply(mergeOperation, parts, { ranges, length })[0];
}

interface Rows {
  readonly begin: number;
  readonly end: number;
}

/** Calls `move` with the elements of the whole [B, L, …] and of the part that hold the same positions. */
function movePositions(ranges: Ranges, shape: Shape, move: (whole: Rows, part: Rows) => void): void {
  const [batch, length, ...rest] = shape;
  const size = elementCount(rest);
  let next = 0;
  for (let row = 0; row < batch; row++) {
    for (const [start, end] of ranges) {
      const count = (end - start) * size;
      const begin = (row * length + start) * size;
      move({ begin, end: begin + count }, { begin: next, end: next + count });
      next += count;
    }
  }
}

function copyRows(source: Values, from: Rows, target: Values, to: Rows): void {
  target.set(source.subarray(from.begin, from.end), to.begin);
}
