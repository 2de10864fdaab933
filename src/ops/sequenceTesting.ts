/** For tests of the sequence operations: running a graph's plain meanings in float64, and finite differences. */
import type { Graph, Operand, Tensor, Values } from '../graph/index.ts';
import { elementCount } from '../graph/index.ts';

export type Given = Readonly<Record<string, ArrayLike<number>>>;

/** Numbers in [−1, 1), the same for the same seed (xorshift). */
export function numbers(count: number, seed: number): Float64Array {
  let bits = (seed * 2654435761) >>> 0 || 1;
  return Float64Array.from({ length: count }, () => {
    bits ^= bits << 13;
    bits ^= bits >>> 17;
    bits ^= bits << 5;
    return (bits >>> 0) / 2147483648 - 1;
  });
}

/**
 * Values of the `wanted` tensors, given those of the sources by name. Only calls that these need are run, outputs that
 * nobody reads are absent, and all memory is poisoned before it is written.
 */
export function evaluate(graph: Graph, given: Given, wanted: readonly Tensor[]): Values[] {
  const needed = new Set<Tensor | undefined>(wanted);
  const isNeeded = (tensor: Tensor): boolean => needed.has(tensor);
  const nodes = graph.nodes.toReversed().filter((node) => {
    const runs = node.outputs.some(isNeeded);
    if (runs) for (const input of node.inputs) needed.add(input);
    return runs;
  });
  const operands = new Map<Tensor, Operand>();
  for (const tensor of graph.sources.filter(isNeeded)) {
    const values = given[tensor.name] ?? [];
    if (values.length !== elementCount(tensor.shape)) {
      throw new Error(
        `'${tensor.name}' has ${values.length} values for the shape [${tensor.shape.join(', ')}].`,
      );
    }
    operands.set(tensor, operandOf(tensor, values));
  }
  for (const node of nodes.reverse()) {
    for (const tensor of node.outputs.filter(isNeeded)) operands.set(tensor, operandOf(tensor, []));
    const inputs = node.inputs.map((tensor) => tensor && operands.get(tensor));
    const outputs = node.outputs.map((tensor) => operands.get(tensor));
    node.operation.evaluate(inputs, outputs, node.attributes);
  }
  return wanted.map((tensor) => operands.get(tensor)?.values ?? new Float64Array(0));
}

function operandOf(tensor: Tensor, values: ArrayLike<number>): Operand {
  const { shape, dtype } = tensor;
  const count = elementCount(shape);
  const memory =
    dtype === 'int32' ? new Int32Array(count).fill(-77) : new Float64Array(count).fill(Number.NaN);
  memory.set(values);
  return { shape, dtype, values: memory };
}

/** The largest difference over the largest absolute value of `expected`. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let largest = 1e-300;
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(actual[i] - expected[i]);
    if (Number.isNaN(distance)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, distance);
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  return difference / largest;
}

/**
 * Compares the gradients of the call that made `results` with central differences (h = 1e-5) of a random projection of
 * those results, element by element, and returns the largest relative error for each named source.
 */
export function gradientErrors(
  graph: Graph,
  given: Given,
  results: readonly Tensor[],
  names: readonly string[],
): Record<string, number> {
  const node = results[0].producer?.node;
  if (!node?.operation.gradient) throw new Error('The results must come from a call with a gradient.');
  const projection = new Map(
    results.map((tensor, i) => [tensor, numbers(elementCount(tensor.shape), 97 + i)]),
  );
  const loss = (values: Given): number => {
    const outputs = evaluate(graph, values, results);
    let sum = 0;
    results.forEach((tensor, i) => {
      projection.get(tensor)?.forEach((factor, at) => {
        sum += factor * outputs[i][at];
      });
    });
    return sum;
  };
  const seeds: Record<string, ArrayLike<number>> = {};
  const seedTensors = node.outputs.map((tensor, i) => {
    const values = projection.get(tensor);
    if (!values) return undefined;
    seeds[`seed.${i}`] = values;
    return graph.source('input', `seed.${i}`, tensor.shape);
  });
  const { inputs, outputs, attributes } = node;
  const gradients = node.operation.gradient({ inputs, outputs, attributes }, seedTensors);
  const errors: Record<string, number> = {};
  for (const name of names) {
    const gradient = gradients[inputs.findIndex((tensor) => tensor?.name === name)];
    if (!gradient) throw new Error(`'${name}' got no gradient.`);
    const [analytic] = evaluate(graph, { ...given, ...seeds }, [gradient]);
    errors[name] = relativeError(analytic, centralDifferences(loss, given, name));
  }
  return errors;
}

function centralDifferences(loss: (given: Given) => number, given: Given, name: string): Float64Array {
  const step = 1e-5;
  const shifted = Float64Array.from(given[name]);
  return shifted.map((value, i) => {
    shifted[i] = value + step;
    const above = loss({ ...given, [name]: shifted });
    shifted[i] = value - step;
    const below = loss({ ...given, [name]: shifted });
    shifted[i] = value;
    return (above - below) / (2 * step);
  });
}

/** Positions [start, end) of every row of values in the shape [B, L, …]. */
export function positions(
  values: ArrayLike<number>,
  batch: number,
  length: number,
  start: number,
  end: number,
): number[] {
  const all = Array.from(values);
  const size = all.length / (batch * length);
  return Array.from({ length: batch }, (_, b) =>
    all.slice((b * length + start) * size, (b * length + end) * size),
  ).flat();
}

/** One row of values in the shape [B, …]. */
export function row(values: ArrayLike<number>, batch: number, b: number): number[] {
  return positions(values, 1, batch, b, b + 1);
}

/** Document numbers of one row: every position gets the largest start that is not after it. */
export function documentsFrom(starts: readonly number[], length: number): number[] {
  return Array.from({ length }, (_, t) => Math.max(0, ...starts.filter((start) => start <= t)));
}

/** Cuts [0, length) at the given places: [[0, a), [a, b), …]. */
export function cutAt(cuts: readonly number[], length: number): [start: number, end: number][] {
  const inside = [...new Set(cuts.filter((cut) => cut > 0 && cut < length))].sort((a, b) => a - b);
  const edges = [0, ...inside, length];
  return inside.concat(length).map((end, i) => [edges[i], end]);
}
