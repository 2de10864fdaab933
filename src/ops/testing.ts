/**
 * For tests only: runs the plain meanings of a small graph without compiler or executor, and compares gradients with
 * central differences.
 */
import type { Operand, Shape, Tensor, Values } from '../graph/index.ts';
import { describeType, elementCount, Graph } from '../graph/index.ts';
import { add } from './elementwise.ts';

export type Precision = 'float64' | 'float32';

/** An input of a graph under test: its type and its values. */
export interface TestInput {
  readonly shape: Shape;
  readonly dtype: 'float32' | 'int32';
  readonly values: ArrayLike<number>;
}

/** Random floats in [low, high), the same for the same seed. */
export function floats(shape: Shape, { seed = 1, low = -1, high = 1 } = {}): TestInput {
  const next = randomNumbers(seed);
  const values = Float64Array.from({ length: elementCount(shape) }, () => low + (high - low) * next());
  return { shape, dtype: 'float32', values };
}

export function givenFloats(shape: Shape, values: ArrayLike<number>): TestInput {
  return { shape, dtype: 'float32', values };
}

export function integers(shape: Shape, values: ArrayLike<number>): TestInput {
  return { shape, dtype: 'int32', values };
}

/** Random integers in [low, high). */
export function randomIntegers(shape: Shape, low: number, high: number, seed = 1): TestInput {
  const next = randomNumbers(seed);
  const values = Array.from({ length: elementCount(shape) }, () => low + Math.floor((high - low) * next()));
  return { shape, dtype: 'int32', values };
}

/** Uniform numbers in [0, 1): mulberry32. */
function randomNumbers(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Makes a graph from sources with the types of the inputs. */
export type Build = (...inputs: Tensor[]) => Tensor | readonly Tensor[];

interface Built {
  readonly graph: Graph;
  readonly sources: readonly Tensor[];
  readonly results: readonly Tensor[];
}

function construct(build: Build, inputs: readonly TestInput[]): Built {
  const graph = new Graph();
  const sources = inputs.map(({ shape, dtype }, i) => graph.source('input', `input${i}`, shape, dtype));
  const built = build(...sources);
  return { graph, sources, results: 'graph' in built ? [built] : built };
}

/** The values of the results of `build`, in float64 unless asked otherwise. */
export function run(
  build: Build,
  inputs: readonly TestInput[],
  { precision = 'float64' as Precision } = {},
): Values[] {
  const { graph, sources, results } = construct(build, inputs);
  const given = new Map(sources.map((source, i) => [source, inputs[i].values]));
  return evaluateTensors(graph, given, results, precision);
}

/**
 * Values of the `wanted` tensors, given those of the sources that are read. Every other output is absent in its call
 * unless a later call reads it, and memory is poisoned before it is written.
 */
export function evaluateTensors(
  graph: Graph,
  given: ReadonlyMap<Tensor, ArrayLike<number>>,
  wanted: readonly Tensor[],
  precision: Precision = 'float64',
): Values[] {
  const operands = new Map<Tensor, Operand>();
  const read = new Set<Tensor | undefined>([...wanted, ...graph.nodes.flatMap((node) => node.inputs)]);
  for (const source of graph.sources) {
    if (!read.has(source)) continue;
    const values = given.get(source);
    if (values?.length !== elementCount(source.shape)) {
      throw new Error(`'${source.name}' is ${describeType(source)} and got ${values?.length} values.`);
    }
    const memory = allocate(source, precision);
    memory.values.set(values);
    operands.set(source, memory);
  }
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((tensor) => tensor && operands.get(tensor));
    const outputs = node.outputs.map((tensor) =>
      read.has(tensor) ? allocate(tensor, precision) : undefined,
    );
    node.operation.evaluate(inputs, outputs, node.attributes);
    node.outputs.forEach((tensor, i) => {
      const output = outputs[i];
      if (output) operands.set(tensor, output);
    });
  }
  return wanted.map((tensor) => {
    const operand = operands.get(tensor);
    if (!operand) throw new Error(`${describeType(tensor)} has no value: it belongs to another graph.`);
    return operand.values;
  });
}

function allocate({ shape, dtype }: Tensor, precision: Precision): Operand {
  const count = elementCount(shape);
  if (dtype === 'int32') return { shape, dtype, values: new Int32Array(count).fill(-77777) };
  const values = precision === 'float64' ? new Float64Array(count) : new Float32Array(count);
  return { shape, dtype, values: values.fill(Number.NaN) };
}

/**
 * Gradients of the sources, given those of some results: the rules of the operations applied in reverse order. A tensor
 * that got no gradient is absent.
 */
export function reverseSweep(graph: Graph, seeds: ReadonlyMap<Tensor, Tensor>): Map<Tensor, Tensor> {
  const gradients = new Map(seeds);
  for (const node of [...graph.nodes].reverse()) {
    const outputGradients = node.outputs.map((output) => gradients.get(output));
    if (outputGradients.every((gradient) => gradient === undefined)) continue;
    const { operation, inputs, outputs, attributes } = node;
    if (!operation.gradient) throw new Error(`'${operation.name}' has no gradient.`);
    const contributions = operation.gradient({ inputs, outputs, attributes }, outputGradients);
    inputs.forEach((input, i) => {
      const contribution = contributions[i];
      if (!input || !contribution) return;
      const before = gradients.get(input);
      gradients.set(input, before ? add(before, contribution) : contribution);
    });
  }
  return gradients;
}

export interface GradientCheck {
  /** Largest relative error allowed. */
  readonly tolerance?: number;
  /** Random directions per input; inputs with at most 64 elements are also checked element by element. */
  readonly directions?: number;
}

const STEP = 1e-5;

/**
 * Compares the gradients of a random projection of all float results with central differences in float64 (h = 1e-5), for
 * every float input: along random directions, and element by element where there are at most 64. Throws an error that
 * names the input.
 */
export function checkGradient(
  build: Build,
  inputs: readonly TestInput[],
  { tolerance = 1e-6, directions = 2 }: GradientCheck = {},
): void {
  const gradients = projectionGradients(build, inputs);
  const project = projection(build, inputs);
  inputs.forEach(({ shape, dtype, values }, index) => {
    const gradient = gradients[index];
    if (dtype === 'int32') {
      if (gradient) throw new Error(`Input ${index} is int32 and got a gradient.`);
      return;
    }
    const count = elementCount(shape);
    // An input without gradient must not matter.
    const exact = gradient ? Float64Array.from(gradient) : new Float64Array(count);
    const compare = (direction: ArrayLike<number>, size: number, where: string): void => {
      const at = (step: number): number =>
        project(
          index,
          Float64Array.from(values, (value, i) => value + step * direction[i]),
        );
      const measured = (at(STEP) - at(-STEP)) / (2 * STEP);
      const expected = exact.reduce((sum, slope, i) => sum + slope * direction[i], 0);
      const error = Math.abs(measured - expected) / Math.max(Math.abs(expected), size, 1e-4);
      if (error <= tolerance) return;
      throw new Error(
        `Gradient of input ${index}, ${where}: ${expected}, central difference ${measured} (relative error ${error}).`,
      );
    };
    // A slope that is small by chance is measured against the gradient it is a part of.
    const norm = Math.hypot(...exact);
    for (let d = 0; d < directions; d++) {
      const direction = floats(shape, { seed: 2000 + 10 * index + d }).values;
      compare(direction, norm / Math.sqrt(3), `direction ${d}`);
    }
    if (count > 64) return;
    const largest = exact.reduce((max, slope) => Math.max(max, Math.abs(slope)), 0);
    for (let i = 0; i < count; i++) {
      compare(
        Float64Array.from({ length: count }, (_, j) => (i === j ? 1 : 0)),
        largest,
        `element ${i}`,
      );
    }
  });
}

/** The factors by which results are added up to one number. */
function projectionWeights(results: readonly Tensor[]): ArrayLike<number>[] {
  return results.map(({ shape }, i) => floats(shape, { seed: 1000 + i }).values);
}

/** The projection of the float results, as a function of one changed input. */
function projection(
  build: Build,
  inputs: readonly TestInput[],
): (changed: number, values: ArrayLike<number>) => number {
  const { graph, sources, results } = construct(build, inputs);
  const floatResults = results.filter(({ dtype }) => dtype !== 'int32');
  const weights = projectionWeights(floatResults);
  return (changed, values) => {
    const given = new Map(sources.map((source, i) => [source, i === changed ? values : inputs[i].values]));
    let total = 0;
    evaluateTensors(graph, given, floatResults).forEach((result, i) => {
      for (let at = 0; at < result.length; at++) total += result[at] * weights[i][at];
    });
    return total;
  };
}

/** The gradients of the projection by the rules of the operations; `undefined` where an input got none. */
function projectionGradients(build: Build, inputs: readonly TestInput[]): (Values | undefined)[] {
  const { graph, sources, results } = construct(build, inputs);
  const given = new Map<Tensor, ArrayLike<number>>(sources.map((source, i) => [source, inputs[i].values]));
  const floatResults = results.filter(({ dtype }) => dtype !== 'int32');
  const weights = projectionWeights(floatResults);
  const seeds = new Map<Tensor, Tensor>();
  floatResults.forEach((result, i) => {
    const seed = graph.source('input', `seed${i}`, result.shape);
    seeds.set(result, seed);
    given.set(seed, weights[i]);
  });
  const gradients = reverseSweep(graph, seeds);
  return sources.map((source) => {
    const gradient = gradients.get(source);
    if (gradient && describeType(gradient) !== describeType({ shape: source.shape, dtype: 'float32' })) {
      throw new Error(
        `The gradient of ${source.name} is ${describeType(gradient)}: ${describeType(source)}.`,
      );
    }
    return gradient && evaluateTensors(graph, given, [gradient])[0];
  });
}
