/** For tests of the sequence operations: values by name, finite differences, and parts of sequences. */
import type { Graph, Tensor, Values } from '../graph/index.ts';
import { elementCount } from '../graph/index.ts';
import { evaluateTensors, floats, reverseSweep } from './testing.ts';

/** Values of sources, by name. */
export type Given = Readonly<Record<string, ArrayLike<number>>>;

/** Random numbers in [−1, 1), the same for the same seed. */
export function numbers(count: number, seed: number): Float64Array {
  return Float64Array.from(floats([count], { seed }).values);
}

/** The values of the `wanted` tensors in float64. */
export function evaluate(graph: Graph, given: Given, wanted: readonly Tensor[]): Values[] {
  const sources = new Map(graph.sources.map((source) => [source, given[source.name] ?? []]));
  return evaluateTensors(graph, sources, wanted);
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
 * Compares the gradients of a random projection of `results` with central differences (h = 1e-5), element by element,
 * and returns the largest relative error for each named source. The graph gets the calls of the gradient.
 */
export function gradientErrors(
  graph: Graph,
  given: Given,
  results: readonly Tensor[],
  names: readonly string[],
): Record<string, number> {
  const projections = results.map(({ shape }, i) => numbers(elementCount(shape), 97 + i));
  const project = (values: Given): number => {
    const outputs = evaluate(graph, values, results);
    return outputs.reduce((sum, output, i) => sum + dot(output, projections[i]), 0);
  };
  const measured = names.map((name) => centralDifferences(project, given, name));

  const seedValues: Record<string, ArrayLike<number>> = {};
  const seeds = results.map((tensor, i): [Tensor, Tensor] => {
    const seed = graph.source('input', `seed${i}`, tensor.shape);
    seedValues[seed.name] = projections[i];
    return [tensor, seed];
  });
  const gradients = reverseSweep(graph, new Map(seeds));
  const errors = names.map((name, i): [string, number] => {
    const gradient = gradients.get(graph.sources.find((source) => source.name === name) ?? results[0]);
    if (!gradient) throw new Error(`'${name}' got no gradient.`);
    const [exact] = evaluate(graph, { ...given, ...seedValues }, [gradient]);
    return [name, relativeError(exact, measured[i])];
  });
  return Object.fromEntries(errors);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function centralDifferences(project: (given: Given) => number, given: Given, name: string): Float64Array {
  const step = 1e-5;
  const shifted = Float64Array.from(given[name]);
  return shifted.map((value, i) => {
    shifted[i] = value + step;
    const above = project({ ...given, [name]: shifted });
    shifted[i] = value - step;
    const below = project({ ...given, [name]: shifted });
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
