/**
 * The programs of a synthetic task: one that learns from a batch of rows, one that says what it would answer. The head
 * sees only the places where something is asked. Shapes: B rows, L length, K places asked per row, D width, V vocabulary.
 */
import type { Program } from '../../compiler/index.ts';
import {
  compile,
  differentiate,
  fuseLoss,
  graphCost,
  lowerPrecision,
  optimize,
} from '../../compiler/index.ts';
import type { Tensor } from '../../graph/index.ts';
import { Graph } from '../../graph/index.ts';
import { buildModel } from '../../models/build.ts';
import type { ModelConfig } from '../../models/config.ts';
import { logitsOf, lossOf } from '../../models/head.ts';
import type { LayerContext, ParameterSpec } from '../../nn/index.ts';
import { adapt, ParameterList } from '../../nn/index.ts';
import { embedding, reshape } from '../../ops/index.ts';
import type { Precision } from '../../train/index.ts';
import type { UpdateOptions } from '../../train/update.ts';
import { addUpdate } from '../../train/update.ts';
import { decode } from './decoder.ts';
import type { SyntheticTask } from './task.ts';

export interface SyntheticOptions extends UpdateOptions {
  readonly batch: number;
  readonly precision: Precision;
  readonly threads: number;
}

export interface SyntheticPrograms {
  /**
   * Inputs `ids`, `positions` [B, L], `places` [B, K] (numbers of tokens in the batch), `targets`, `weights` [B, K], those of
   * the update, and those of decoder.ts; outputs `loss`, `norm`.
   */
  readonly train: Program;
  /** Inputs `ids`, `positions`, `places`; output `logits` [B, K, V]. */
  readonly test: Program;
  readonly parameters: readonly ParameterSpec[];
  /** Parameters that have a BF16 copy. */
  readonly shadows: readonly ParameterSpec[];
  /** Model FLOPs of one training step. */
  readonly flopsPerStep: number;
}

const lossChunk = 1024;

export function syntheticPrograms(
  task: SyntheticTask,
  model: ModelConfig,
  options: SyntheticOptions,
): SyntheticPrograms {
  const { precision, threads } = options;
  const { graph, loss, parameters } = lossGraph(task, model, options.batch);
  const flopsPerStep = 3 * graphCost(graph).model;
  const trained = parameters.filter(({ fixed }) => !fixed);
  const sources = trained.map(({ name, shape }) => graph.source('parameter', name, shape));
  const differentiated = differentiate(graph, loss, sources);
  const fused = fuseLoss(differentiated.graph);
  const lowered = precision === 'bfloat16' ? lowerPrecision(fused.graph) : undefined;
  const last = (lowered ?? fused).graph;
  const map = (tensor: Tensor): Tensor => (lowered ? lowered.map(fused.map(tensor)) : fused.map(tensor));
  const gradients = new Map<ParameterSpec, Tensor>();
  trained.forEach((spec, index) => {
    const gradient = differentiated.gradients.get(sources[index]);
    if (gradient) gradients.set(spec, map(gradient));
  });
  const total = map(differentiated.map(loss));
  addUpdate(last, gradients, total, options);
  last.output('loss', total);
  return {
    train: compile(optimize(last, precision), { name: `learn ${task.name}`, threads }),
    test: testProgram(task, model, options),
    parameters,
    shadows: parameters.filter(({ name }) => last.findSource('shadow', name)),
    flopsPerStep,
  };
}

/** Model FLOPs of one training step, without compiling it. */
export function stepFlops(task: SyntheticTask, model: ModelConfig, batch: number): number {
  return 3 * graphCost(lossGraph(task, model, batch).graph).model;
}

function lossGraph(task: SyntheticTask, model: ModelConfig, batch: number) {
  const { graph, asked, head, parameters } = answers(task, model, batch, 'train');
  const shape = [batch, asked.places];
  const targets = graph.source('input', 'targets', shape, 'int32');
  const weights = graph.source('input', 'weights', shape);
  const { loss } = graph.scope('loss', () =>
    lossOf({ ...head, hidden: asked.hidden }, targets, weights, lossChunk),
  );
  return { graph, loss, parameters };
}

/** Inputs `ids`, `positions`, `places`; output `logits`. The weights are those of the training program. */
export function testProgram(task: SyntheticTask, model: ModelConfig, options: SyntheticOptions): Program {
  const { precision, threads, batch } = options;
  const { graph, asked, head } = answers(task, model, batch, 'test');
  graph.output('logits', logitsOf(head, asked.hidden));
  const lowered = precision === 'bfloat16' ? lowerPrecision(graph).graph : graph;
  return compile(optimize(lowered, precision), { name: `test ${task.name}`, threads });
}

/** What the model has at the places that are asked, before the head. */
function answers(task: SyntheticTask, model: ModelConfig, batch: number, split: 'train' | 'test') {
  const { length, readout } = task;
  const graph = new Graph();
  const training = split === 'train';
  const built = buildModel(graph, model, { batch, length, documents: false, training });
  adapt(graph, built.adaptations);
  const own = new ParameterList();
  const { width } = model;
  const context: LayerContext = {
    graph,
    batch,
    length,
    width,
    positions: built.inputs.positions,
    epsilon: model.normEpsilon,
    deviation: model.initialDeviation,
    residualDeviation: model.initialDeviation,
    normalizeOutput: false,
    parameters: own,
  };
  const hidden = readout === 'autoencoder' ? decode(built.hidden, context) : built.hidden;
  const places = task.places[split];
  const chosen = graph.source('input', 'places', [batch, places], 'int32');
  const flat = reshape(hidden, [batch * length, width]);
  const asked = { batch, places, hidden: embedding(flat, chosen) };
  return { graph, asked, head: built, parameters: [...built.parameters, ...own.specs] };
}
