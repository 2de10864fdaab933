/**
 * How the parameters of a model written by others correspond to Braid's, as tables. One foreign tensor is one of ours,
 * or several side by side along its rows or its columns.
 */
import type { Shape } from '../graph/index.ts';
import { BraidError, elementCount } from '../graph/index.ts';

/** One line of a table. `{i}` in the names stands for the number of a block. */
export interface MappingRule {
  readonly from: string;
  readonly to: string | { readonly rows: readonly string[] } | { readonly columns: readonly string[] };
}

/** One of our parameters as a part of a foreign tensor seen as a matrix [rows, columns]. */
export interface MappedPart {
  readonly name: string;
  readonly shape: Shape;
  readonly rows: readonly [start: number, end: number];
  readonly columns: readonly [start: number, end: number];
}

/** A foreign tensor and our parameters in it, which together cover it exactly. */
export interface MappedTensor {
  readonly from: string;
  readonly rows: number;
  readonly columns: number;
  readonly parts: readonly MappedPart[];
}

/** Writes out a table for a number of blocks. */
export function expandRules(rules: readonly MappingRule[], blocks: number): readonly MappingRule[] {
  return rules.flatMap((rule) => {
    if (!rule.from.includes('{i}')) return [rule];
    return Array.from({ length: blocks }, (_, block) => {
      const fill = (name: string): string => name.replaceAll('{i}', String(block));
      const { to } = rule;
      if (typeof to === 'string') return { from: fill(rule.from), to: fill(to) };
      if ('rows' in to) return { from: fill(rule.from), to: { rows: to.rows.map(fill) } };
      return { from: fill(rule.from), to: { columns: to.columns.map(fill) } };
    });
  });
}

/**
 * Lays our parameters into foreign tensors. A parameter that no line gives, or that the model does not have, is a
 * `BraidError('file')`: nothing is left at its initial value or dropped in silence.
 */
export function layOut(
  rules: readonly MappingRule[],
  shapes: ReadonlyMap<string, Shape>,
): readonly MappedTensor[] {
  const missing = new Set(shapes.keys());
  const mapped = rules.map(({ from, to }) => {
    const side = typeof to !== 'string' && 'columns' in to;
    const names = typeof to === 'string' ? [to] : 'columns' in to ? to.columns : to.rows;
    let rows = 0;
    let columns = 0;
    const parts = names.map((name): MappedPart => {
      const shape = shapes.get(name);
      if (!shape)
        throw new BraidError('file', `'${from}' belongs to '${name}', which this model does not have.`);
      missing.delete(name);
      const [height = 1, ...rest] = shape;
      const width = elementCount(rest);
      const part: MappedPart = side
        ? { name, shape, rows: [0, height], columns: [columns, columns + width] }
        : { name, shape, rows: [rows, rows + height], columns: [0, width] };
      rows = side ? height : rows + height;
      columns = side ? columns + width : width;
      return part;
    });
    return { from, rows, columns, parts };
  });
  const [first] = missing;
  if (first !== undefined) {
    throw new BraidError(
      'file',
      `The mapping gives no values for ${missing.size} parameters, such as '${first}'.`,
    );
  }
  return mapped;
}

/** Copies a part out of a foreign tensor. */
export function takePart(values: Float32Array, whole: MappedTensor, part: MappedPart): Float32Array {
  const [top, bottom] = part.rows;
  const [left, right] = part.columns;
  const taken = new Float32Array((bottom - top) * (right - left));
  for (let row = top; row < bottom; row++) {
    taken.set(
      values.subarray(row * whole.columns + left, row * whole.columns + right),
      (row - top) * (right - left),
    );
  }
  return taken;
}
