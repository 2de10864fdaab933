/**
 * How the parameters of a model written by others correspond to Braid's, as tables that are read in both directions. One
 * foreign tensor is one of ours, several side by side along its rows or its columns, or a slice of one.
 */
import type { Shape } from '../../graph/index.ts';
import { BraidError, elementCount } from '../../graph/index.ts';

/** One line of a table. Lines whose parameters of ours the model does not have do not count: biases are optional. */
export interface MappingRule {
  readonly from: string;
  readonly to: MappingTarget;
  /** On disk the weights of a depthwise convolution are [C, 1, K]; ours are [C, K]. */
  readonly form?: 'convolution';
  /** Names under which the same values may stand again, such as a tied head. */
  readonly copies?: readonly string[];
}

export type MappingTarget =
  | string
  | { readonly rows: readonly string[] }
  | { readonly columns: readonly string[] }
  /** Part `index` of the first axis of our parameter: one expert of many. */
  | { readonly slice: string; readonly index: number };

/** One of our parameters, or a slice of one, as a part of a foreign tensor seen as a matrix [rows, columns]. */
export interface MappedPart {
  readonly name: string;
  /** Where the part begins in our parameter, in elements. */
  readonly offset: number;
  readonly rows: readonly [start: number, end: number];
  readonly columns: readonly [start: number, end: number];
}

/** A foreign tensor and our parameters in it, which together cover it exactly. */
export interface MappedTensor {
  readonly from: string;
  readonly shape: Shape;
  readonly rows: number;
  readonly columns: number;
  readonly parts: readonly MappedPart[];
  readonly copies: readonly string[];
}

/**
 * Lays our parameters into foreign tensors. A parameter that no line gives, gives in part or gives twice is a
 * `BraidError('file')`: nothing is left at its initial value or dropped in silence.
 */
export function layOut(
  rules: readonly MappingRule[],
  shapes: ReadonlyMap<string, Shape>,
): readonly MappedTensor[] {
  const mapped = rules.filter((rule) => isPresent(rule, shapes)).map((rule) => layOutOne(rule, shapes));
  const given = new Map<string, number>();
  for (const { parts } of mapped) {
    for (const { name, rows, columns } of parts) {
      const count = (rows[1] - rows[0]) * (columns[1] - columns[0]);
      given.set(name, (given.get(name) ?? 0) + count);
    }
  }
  const wrong = [...shapes].filter(([name, shape]) => given.get(name) !== elementCount(shape));
  const [first] = wrong;
  if (first) {
    const [name, shape] = first;
    throw new BraidError(
      'file',
      `The mapping does not give all values of ${wrong.length} parameters exactly once, such as '${name}' ` +
        `[${shape.join(', ')}]: ${given.get(name) ?? 0} of ${elementCount(shape)}.`,
    );
  }
  return mapped;
}

function namesOf(target: MappingTarget): readonly string[] {
  if (typeof target === 'string') return [target];
  if ('slice' in target) return [target.slice];
  return 'rows' in target ? target.rows : target.columns;
}

function isPresent({ from, to }: MappingRule, shapes: ReadonlyMap<string, Shape>): boolean {
  const names = namesOf(to);
  const absent = names.filter((name) => !shapes.has(name));
  if (absent.length === names.length) return false;
  const [first] = absent;
  if (first === undefined) return true;
  throw new BraidError('file', `'${from}' holds '${first}' among others, which this model does not have.`);
}

function layOutOne(rule: MappingRule, shapes: ReadonlyMap<string, Shape>): MappedTensor {
  const { from, to, form, copies = [] } = rule;
  const side = typeof to !== 'string' && 'columns' in to;
  let rows = 0;
  let columns = 0;
  let plain: Shape = [];
  const parts = namesOf(to).map((name): MappedPart => {
    const whole = shapes.get(name) ?? [];
    const sliced = typeof to !== 'string' && 'slice' in to;
    const shape = sliced ? whole.slice(1) : whole;
    plain = shape;
    const [height = 1, ...rest] = shape;
    const width = elementCount(rest);
    const offset = sliced ? to.index * elementCount(shape) : 0;
    const part: MappedPart = side
      ? { name, offset, rows: [0, height], columns: [columns, columns + width] }
      : { name, offset, rows: [rows, rows + height], columns: [0, width] };
    rows = side ? height : rows + height;
    columns = side ? columns + width : width;
    return part;
  });
  if (parts.length > 1) plain = plain.length === 1 ? [rows] : [rows, columns];
  return { from, shape: form === 'convolution' ? [rows, 1, columns] : plain, rows, columns, parts, copies };
}

/** Copies a part of a foreign tensor into our parameter. */
export function takePart(
  foreign: Float32Array,
  whole: MappedTensor,
  part: MappedPart,
  ours: Float32Array | Float64Array,
): void {
  eachRow(whole, part, (there, here, width) => ours.set(foreign.subarray(there, there + width), here));
}

/** Copies our parameter into its part of a foreign tensor. */
export function putPart(
  foreign: Float32Array,
  whole: MappedTensor,
  part: MappedPart,
  ours: Float32Array | Float64Array,
): void {
  eachRow(whole, part, (there, here, width) => foreign.set(ours.subarray(here, here + width), there));
}

function eachRow(
  { columns }: MappedTensor,
  part: MappedPart,
  visit: (there: number, here: number, width: number) => void,
): void {
  const [top, bottom] = part.rows;
  const [left, right] = part.columns;
  const width = right - left;
  if (width === columns) {
    visit(top * columns, part.offset, (bottom - top) * width);
    return;
  }
  for (let row = top; row < bottom; row++) {
    visit(row * columns + left, part.offset + (row - top) * width, width);
  }
}
