/** For tests only: layers in graphs of their own. */
import { elementCount, Graph } from '../graph/index.ts';
import type { LayerContext, ParameterSpec } from '../nn/index.ts';
import { Handover, initialize, ParameterList } from '../nn/index.ts';
import { evaluate, numbers } from '../ops/sequenceTesting.ts';
import type { RegisteredLayer } from './layer.ts';

export interface TestContextOptions {
  readonly width: number;
  /** 2 unless given. */
  readonly batch?: number;
  /** 3 unless given. */
  readonly length?: number;
  readonly documents?: boolean;
}

/** A context on a new graph, with the inputs `positions` and, where asked for, `documents`. */
export function testContext({
  width,
  batch = 2,
  length = 3,
  documents = false,
}: TestContextOptions): LayerContext {
  const graph = new Graph();
  const shape = [batch, length];
  return {
    graph,
    batch,
    length,
    width,
    positions: graph.source('input', 'positions', shape, 'int32'),
    documents: documents ? graph.source('input', 'documents', shape, 'int32') : undefined,
    epsilon: 1e-6,
    deviation: 0.02,
    residualDeviation: 0.01,
    normalizeOutput: false,
    handover: new Handover(),
    parameters: new ParameterList(),
  };
}

/** What a layer declares at a width. */
export function parameterSpecs(
  layer: RegisteredLayer,
  options: unknown,
  width: number,
  more: Partial<LayerContext> = {},
): readonly ParameterSpec[] {
  const context = { ...testContext({ width }), ...more };
  const { batch, length } = context;
  layer.forward(context.graph.source('input', 'x', [batch, length, width]), options, context);
  return context.parameters.specs;
}

export function parameterCount(layer: RegisteredLayer, options: unknown, width: number): number {
  return parameterSpecs(layer, options, width).reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

/** A layer run on one row of random numbers, with random parameters: what it read and what it gave. */
export interface Run {
  /** [L, D] */
  readonly x: Float64Array;
  /** [L, D] */
  readonly y: ArrayLike<number>;
  /** A parameter by name; an error where there is none. */
  parameter(name: string): ArrayLike<number>;
}

/**
 * Runs a layer in float64. Fixed tensors have their values, parameters random ones, or those in `given`.
 */
export function runLayer(
  layer: RegisteredLayer,
  options: unknown,
  { width, length }: { readonly width: number; readonly length: number },
  given: Readonly<Record<string, ArrayLike<number>>> = {},
): Run {
  const context = testContext({ width, batch: 1, length });
  const input = context.graph.source('input', 'x', [1, length, width]);
  const { output } = layer.forward(input, options, context);
  const x = numbers(length * width, 1);
  const values: Record<string, ArrayLike<number>> = { x, positions: positionsOf(length) };
  context.parameters.specs.forEach((spec, index) => {
    const start = new Float32Array(elementCount(spec.shape));
    initialize(spec, 3, start);
    values[spec.name] = given[spec.name] ?? (spec.fixed ? start : numbers(start.length, index + 2));
  });
  const [y] = evaluate(context.graph, values, [output]);
  return {
    x,
    y,
    parameter(name) {
      const found = values[name];
      if (!found) throw new Error(`There is no parameter '${name}'.`);
      return found;
    },
  };
}

function positionsOf(length: number): Int32Array {
  return Int32Array.from({ length }, (_, position) => position);
}
