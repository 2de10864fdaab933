/** For tests only: layers in graphs of their own. */
import { elementCount, Graph } from '../graph/index.ts';
import type { LayerContext, ParameterSpec } from '../nn/index.ts';
import { ParameterList } from '../nn/index.ts';
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
