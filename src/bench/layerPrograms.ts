/** Programs of one layer on its own: no norm before it, no residual after it. Shapes: B batch, L length, D width. */
import type { LayerChoice } from '../blocks/index.ts';
import type { Program } from '../compiler/index.ts';
import { compile, differentiate, graphCost, lowerPrecision, optimize } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import { findLayer } from '../mixers/index.ts';
import { Handover, offer, ParameterList } from '../nn/index.ts';
import { dot } from '../ops/index.ts';
import type { Precision } from '../train/index.ts';

/** What is run: forward alone, or forward and backward with the gradients of input and parameters. */
export type Phase = 'forward' | 'training';

export interface LayerProgramOptions {
  readonly layer: LayerChoice;
  readonly width: number;
  readonly batch: number;
  readonly length: number;
  readonly phase: Phase;
  readonly precision: Precision;
  readonly threads: number;
}

export interface LayerProgram {
  /** Inputs `x` [B, L, D] and, in training, `dy` of the same shape. */
  readonly program: Program;
  /** Model FLOPs of one run: forward, or three times that. */
  readonly modelFlops: number;
}

const deviation = 0.02;

export function layerProgram(options: LayerProgramOptions): LayerProgram {
  const { layer, width, batch, length, phase, precision, threads } = options;
  const graph = new Graph();
  const shape = [batch, length, width];
  const x = graph.source('input', 'x', shape);
  const parameters = new ParameterList();
  const context = {
    graph,
    batch,
    length,
    width,
    positions: graph.source('input', 'positions', [batch, length], 'int32'),
    documents: undefined,
    epsilon: 1e-6,
    deviation,
    residualDeviation: deviation,
    normalizeOutput: false,
    handover: new Handover(),
    parameters,
  };
  offer(context, 'embedding', { stream: x });
  const { output } = graph.scope(layer.name, () => findLayer(layer.type).forward(x, layer.options, context));
  const forward = graphCost(graph).model;
  const finish = (finished: Graph): Program => {
    const lowered = precision === 'bfloat16' ? lowerPrecision(finished).graph : finished;
    return compile(optimize(lowered, precision), { name: `${layer.name} ${phase}`, threads });
  };
  if (phase === 'forward') {
    graph.output('y', output);
    return { program: finish(graph), modelFlops: forward };
  }
  const weights = parameters.specs
    .filter(({ fixed }) => !fixed)
    .map((spec) => graph.source('parameter', spec.name, spec.shape));
  // The gradient from above as an input: the sum of its products with y has it as its derivative.
  const loss = dot(output, graph.source('input', 'dy', output.shape));
  const both = differentiate(graph, loss, [x, ...weights]);
  for (const [source, gradient] of both.gradients) both.graph.output(`d ${source.name}`, gradient);
  return { program: finish(both.graph), modelFlops: 3 * forward };
}
