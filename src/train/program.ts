/**
 * The programs of a training run, from the model's graph: one that does a whole step, or, with accumulation, one that adds
 * up gradients and one that updates; one that makes the BF16 copies of the weights; one that evaluates.
 * Shapes: B batch, L length.
 */
import type { Program } from '../compiler/index.ts';
import {
  compile,
  differentiate,
  fuseLoss,
  graphCost,
  lowerPrecision,
  optimize,
  recompute,
} from '../compiler/index.ts';
import type { Tensor } from '../graph/index.ts';
import { Graph } from '../graph/index.ts';
import type { BuiltModel } from '../models/build.ts';
import { buildModel } from '../models/build.ts';
import type { ModelConfig } from '../models/config.ts';
import { lossOf } from '../models/head.ts';
import type { Adaptation, ParameterSpec } from '../nn/index.ts';
import { adapt } from '../nn/index.ts';
import { accumulate } from '../ops/index.ts';
import type { FrozenTrainConfig, Precision } from './config.ts';
import { addUpdate } from './update.ts';

export interface TrainingPrograms {
  /** Inputs: `ids`, `positions`, `documents`, `targets`, `weights` and, with accumulation, `keep`. */
  readonly step: Program;
  /** Present with accumulation; otherwise `step` updates too. */
  readonly update?: Program;
  readonly parameters: readonly ParameterSpec[];
  /** Parameters that have a BF16 copy. */
  readonly shadows: readonly ParameterSpec[];
  /** Model FLOPs of one optimizer step. */
  readonly flopsPerStep: number;
  readonly blocks: BuiltModel['blocks'];
}

/** What programs need to know of a training configuration. */
export type ProgramConfig = Pick<
  FrozenTrainConfig,
  | 'batch'
  | 'length'
  | 'accumulation'
  | 'lossChunk'
  | 'precision'
  | 'recompute'
  | 'threads'
  | 'lanes'
  | 'beta1'
  | 'beta2'
  | 'epsilon'
  | 'decay'
>;

/** The name under which gradient programs add up the loss; no parameter path has a space. */
const TOTAL_LOSS = 'total loss';

export function buildTraining(model: ModelConfig, train: ProgramConfig): TrainingPrograms {
  const { graph, built, loss } = lossGraph(model, train, true);
  const flopsPerStep = 3 * graphCost(graph).model * train.accumulation;
  const trained = built.parameters.filter((spec) => !spec.fixed);
  const weights = trained.map((spec) => sourceOf(graph, 'parameter', spec));
  const differentiated = differentiate(graph, loss, weights);
  const fused = fuseLoss(differentiated.graph);
  const kept = train.recompute ? recompute(fused.graph, blockPaths(fused.graph)) : undefined;
  const lowered = train.precision === 'bfloat16' ? lowerPrecision((kept ?? fused).graph) : undefined;
  const last = lowered ?? kept ?? fused;
  const map = (tensor: Tensor): Tensor =>
    [fused, kept, lowered].reduce((current, pass) => pass?.map(current) ?? current, tensor);

  const gradients = new Map<ParameterSpec, Tensor>();
  trained.forEach((spec, index) => {
    const gradient = differentiated.gradients.get(weights[index]);
    // A branch that no token of this length reaches has no gradient, and stays as it is.
    if (gradient) gradients.set(spec, map(gradient));
  });
  const shadows = built.parameters.filter((spec) => last.graph.findSource('shadow', spec.name));
  const total = map(differentiated.map(loss));
  const common = { parameters: built.parameters, shadows, flopsPerStep, blocks: built.blocks };
  const adaptations = built.adaptations.map(({ target, observed, rule }) => {
    return { target: map(differentiated.map(target)), observed: map(differentiated.map(observed)), rule };
  });
  if (train.accumulation === 1) {
    adapt(last.graph, adaptations);
    addUpdate(last.graph, gradients, total, train);
    last.graph.output('loss', total);
    return { ...common, step: finish(last.graph, 'train', train) };
  }
  addAccumulation(last.graph, gradients, total, adaptations);
  return {
    ...common,
    step: finish(last.graph, 'gradients', train),
    update: updateProgram([...gradients.keys()], shadows, adaptations, train),
  };
}

/** The forward graph of the loss Σ weight · cross-entropy, with packed documents. */
function lossGraph(
  model: ModelConfig,
  { batch, length, lossChunk }: Pick<ProgramConfig, 'batch' | 'length' | 'lossChunk'>,
  training: boolean,
): { graph: Graph; built: BuiltModel; loss: Tensor; tokenLoss: Tensor } {
  const graph = new Graph();
  const built = buildModel(graph, model, { batch, length, documents: true, training });
  const targets = graph.source('input', 'targets', [batch, length], 'int32');
  const weights = graph.source('input', 'weights', [batch, length]);
  const { loss, tokenLoss } = graph.scope('loss', () => lossOf(built, targets, weights, lossChunk));
  return { graph, built, loss, tokenLoss };
}

function sourceOf(graph: Graph, role: 'parameter' | 'gradient', spec: ParameterSpec): Tensor {
  return graph.source(role, spec.name, spec.shape);
}

/** The layer paths `blocks.0`, `blocks.1` … of a model. */
function blockPaths(graph: Graph): string[] {
  const paths = graph.nodes
    .filter((node) => node.direction === 'forward' && node.path.startsWith('blocks.'))
    .map((node) => node.path.split('.').slice(0, 2).join('.'));
  return [...new Set(paths)];
}

function finish(
  graph: Graph,
  name: string,
  { precision, threads, lanes }: Pick<ProgramConfig, 'precision' | 'threads' | 'lanes'>,
): Program {
  return compile(optimize(graph, precision), { name, threads, lanes });
}

/** What adaptations read, summed over the parts of a step: one buffer per fixed tensor. */
function observedSum(graph: Graph, { target, observed }: Adaptation): Tensor {
  return graph.source('gradient', `${target.name} observed`, observed.shape);
}

function addAccumulation(
  graph: Graph,
  gradients: ReadonlyMap<ParameterSpec, Tensor>,
  loss: Tensor,
  adaptations: readonly Adaptation[],
): void {
  const keep = graph.source('input', 'keep', [1]);
  graph.at({ path: 'accumulate', direction: 'update' }, () => {
    for (const [spec, gradient] of gradients) {
      const buffer = sourceOf(graph, 'gradient', spec);
      graph.assign(buffer, accumulate(buffer, gradient, keep));
    }
    const total = graph.source('gradient', TOTAL_LOSS, [1]);
    graph.assign(total, accumulate(total, loss, keep));
    for (const adaptation of adaptations) {
      const sum = observedSum(graph, adaptation);
      graph.assign(sum, accumulate(sum, adaptation.observed, keep));
    }
  });
  graph.output('loss', loss);
}

/** Reads the accumulated gradients and updates. */
function updateProgram(
  updated: readonly ParameterSpec[],
  shadows: readonly ParameterSpec[],
  adaptations: readonly Adaptation[],
  train: ProgramConfig,
): Program {
  const graph = new Graph();
  const gradients = new Map(updated.map((spec) => [spec, sourceOf(graph, 'gradient', spec)]));
  for (const { name, shape } of shadows) graph.source('shadow', name, shape, 'bfloat16');
  const loss = graph.source('gradient', TOTAL_LOSS, [1]);
  addUpdate(graph, gradients, loss, train);
  adapt(
    graph,
    adaptations.map((adaptation) => ({
      ...adaptation,
      target: graph.source('parameter', adaptation.target.name, adaptation.target.shape),
      observed: observedSum(graph, adaptation),
    })),
  );
  graph.output('loss', loss);
  return compile(graph, { name: 'update', threads: train.threads });
}

export interface EvaluationConfig {
  readonly batch: number;
  readonly length: number;
  readonly lossChunk: number;
  readonly precision: Precision;
  readonly threads: number;
}

/** Inputs as in training; output `tokenLoss` [B, L], −log p of each target in nats, 0 where there is none. */
export function evaluationProgram(
  model: ModelConfig,
  config: EvaluationConfig,
): { program: Program; parameters: readonly ParameterSpec[]; shadows: readonly ParameterSpec[] } {
  const { graph, built, tokenLoss } = lossGraph(model, config, false);
  graph.output('tokenLoss', tokenLoss);
  const lowered = config.precision === 'bfloat16' ? lowerPrecision(graph).graph : graph;
  return {
    program: finish(lowered, 'evaluate', { ...config, lanes: false }),
    parameters: built.parameters,
    shadows: built.parameters.filter((spec) => lowered.findSource('shadow', spec.name)),
  };
}
