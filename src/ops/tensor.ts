/** Operations that move or make values without arithmetic: reshape, cast, fill, split, concat. */
import type { DType, Shape, Tensor, Values } from '../graph/index.ts';
import { defineOperation, describeType, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import { operand, roundStored, rowCount } from './plain.ts';
import { FLOATS, lastAxis, requireFinite, requireInput, requirePositiveInteger } from './require.ts';

const ANY: readonly DType[] = ['float32', 'bfloat16', 'int32'];

type ReshapeAttributes = { readonly shape: Shape };

const reshapeOperation = defineOperation<ReshapeAttributes>({
  name: 'reshape',
  alias: true,
  infer(inputs, { shape }, fail) {
    const x = requireInput(inputs, 0, 'x', ANY, fail);
    if (elementCount(shape) !== elementCount(x.shape)) {
      return fail(
        `shape [${shape.join(', ')}] has ${elementCount(shape)} elements, x has ${elementCount(x.shape)}.`,
      );
    }
    return [{ shape, dtype: x.dtype }];
  },
  gradient: ({ inputs: [x] }, [dy]) => [x && dy && reshape(dy, x.shape)],
  // The same buffer seen otherwise: nothing is computed, nothing moves.
  cost: () => ({ model: 0, executed: 0, elementwise: 0, bytes: 0 }),
  evaluate(inputs, [y]) {
    const x = operand(inputs, 0);
    if (y && y.values !== x.values) y.values.set(x.values);
  },
});

/** The same values in another shape with as many elements. The result is the buffer of `x`: nothing is copied. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return x.graph.apply(reshapeOperation, [x], { shape })[0];
}

type CastAttributes = { readonly dtype: DType };

const castOperation = defineOperation<CastAttributes>({
  name: 'cast',
  infer(inputs, { dtype }, fail) {
    const x = requireInput(inputs, 0, 'x', ANY, fail);
    if ((x.dtype === 'int32') !== (dtype === 'int32')) {
      return fail(`a cast from ${x.dtype} to ${dtype} has no meaning here; floats cast to floats only.`);
    }
    return [{ shape: x.shape, dtype }];
  },
  // Gradients are float32 whatever the dtype of the value.
  gradient: (_, [dy]) => [dy && (dy.dtype === 'float32' ? dy : cast(dy, 'float32'))],
  cost: (inputs, outputs) => elementwiseCost(0, inputs, outputs),
  evaluate(inputs, [y]) {
    if (!y) return;
    y.values.set(operand(inputs, 0).values);
    roundStored(y);
  },
});

/** `x` in another float dtype, rounded to nearest even. A cast to the dtype that `x` has is a copy. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.graph.apply(castOperation, [x], { dtype })[0];
}

type FillAttributes = { readonly shape: Shape; readonly dtype: DType; readonly value: number };

const fillOperation = defineOperation<FillAttributes>({
  name: 'fill',
  infer(inputs, { shape, dtype, value }, fail) {
    requireInput(inputs, 0, 'like', ANY, fail);
    requireFinite(value, 'value', fail);
    return [{ shape, dtype }];
  },
  gradient: () => [undefined],
  cost: (_, outputs) => elementwiseCost(0, [], outputs),
  evaluate(_, [y], { value }) {
    if (!y) return;
    y.values.fill(value);
    roundStored(y);
  },
});

/**
 * A tensor with one value everywhere. `like` is not read: it says in which graph the constant stands and keeps it after
 * what it belongs to.
 */
export function fill(like: Tensor, shape: Shape, value: number, dtype: DType = 'float32'): Tensor {
  return like.graph.apply(fillOperation, [like], { shape, dtype, value })[0];
}

type SplitAttributes = { readonly sizes: readonly number[] };

const splitOperation = defineOperation<SplitAttributes>({
  name: 'split',
  infer(inputs, { sizes }, fail) {
    const x = requireInput(inputs, 0, 'x', FLOATS, fail);
    const width = lastAxis(x, 'x', fail);
    for (const size of sizes) requirePositiveInteger(size, 'sizes', fail);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (total !== width)
      return fail(`sizes [${sizes.join(', ')}] add to ${total}, the last axis has ${width}.`);
    return sizes.map((size) => ({ shape: [...x.shape.slice(0, -1), size], dtype: x.dtype }));
  },
  gradient({ outputs }, gradients) {
    const like = gradients.find((gradient) => gradient !== undefined);
    // A part that nobody used contributes zeros.
    return [like && concat(outputs.map((part, i) => gradients[i] ?? fill(like, part.shape, 0)))];
  },
  cost: (inputs, outputs) => elementwiseCost(0, inputs, outputs),
  evaluate(inputs, outputs, { sizes }) {
    const x = operand(inputs, 0);
    const width = x.shape[x.shape.length - 1];
    let offset = 0;
    sizes.forEach((size, part) => {
      const y = outputs[part];
      if (y) copyColumns(x.values, width, offset, y.values, size, 0, size, rowCount(x.shape));
      offset += size;
    });
  },
});

/** Cuts the last axis: x[…, D] → y₀[…, sizes₀], y₁[…, sizes₁] … with Σ sizes = D. */
export function split(x: Tensor, sizes: readonly number[]): Tensor[] {
  return x.graph.apply(splitOperation, [x], { sizes });
}

const concatOperation = defineOperation({
  name: 'concat',
  infer(inputs, _, fail) {
    const first = requireInput(inputs, 0, 'x0', FLOATS, fail);
    const leading = first.shape.slice(0, -1);
    let width = 0;
    inputs.forEach((_input, index) => {
      const x = requireInput(inputs, index, `x${index}`, [first.dtype], fail);
      width += lastAxis(x, `x${index}`, fail);
      if (x.shape.length !== first.shape.length || leading.some((size, axis) => size !== x.shape[axis])) {
        fail(`'x${index}' is ${describeType(x)}; all axes but the last must be those of x0.`);
      }
    });
    return [{ shape: [...leading, width], dtype: first.dtype }];
  },
  gradient: ({ inputs }, [dy]) =>
    dy
      ? split(
          dy,
          inputs.map((x) => x?.shape.at(-1) ?? 0),
        )
      : inputs.map(() => undefined),
  cost: (inputs, outputs) => elementwiseCost(0, inputs, outputs),
  evaluate(inputs, [y]) {
    if (!y) return;
    const width = y.shape[y.shape.length - 1];
    let offset = 0;
    inputs.forEach((_, index) => {
      const x = operand(inputs, index);
      const size = x.shape[x.shape.length - 1];
      copyColumns(x.values, size, 0, y.values, width, offset, size, rowCount(y.shape));
      offset += size;
    });
  },
});

/** Joins on the last axis: x₀[…, s₀], x₁[…, s₁] … → y[…, Σ s]. All have the same dtype. */
export function concat(parts: readonly Tensor[]): Tensor {
  return graphOf(parts).apply(concatOperation, parts, {})[0];
}

/** Copies `count` columns of every row between two row-major matrices. */
function copyColumns(
  source: Values,
  sourceWidth: number,
  sourceColumn: number,
  target: Values,
  targetWidth: number,
  targetColumn: number,
  count: number,
  rows: number,
): void {
  for (let row = 0; row < rows; row++) {
    const from = row * sourceWidth + sourceColumn;
    target.set(source.subarray(from, from + count), row * targetWidth + targetColumn);
  }
}
