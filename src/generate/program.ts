/**
 * The program that takes a piece of a sequence and gives the logits after its last token. With states it reads what came
 * before from them and leaves them as they are after the piece. Shapes: L length of the piece, D width, V vocabulary.
 */
import type { StateBinding } from '../blocks/index.ts';
import type { Program, QuantizedWeight } from '../compiler/index.ts';
import { compile, lowerPrecision, optimize, quantizeWeights, storeKey } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import { buildModel } from '../models/build.ts';
import type { ModelConfig } from '../models/config.ts';
import { logitsOf } from '../models/head.ts';
import type { ParameterSpec } from '../nn/index.ts';
import { splitPositions } from '../ops/index.ts';
import type { Precision } from '../train/index.ts';
import type { WeightFormat } from './weightFormat.ts';
import { bitsOf } from './weightFormat.ts';

export interface PieceProgram {
  /** Inputs `ids` and `positions` [1, L]; output `logits` [1, 1, V]. */
  readonly program: Program;
  readonly parameters: readonly ParameterSpec[];
  /** Parameters that it reads as their BF16 copies. */
  readonly shadows: readonly ParameterSpec[];
  /** Parameters that it reads in few bits. */
  readonly quantized: readonly QuantizedWeight[];
  readonly states: readonly StateBinding[];
}

export interface PieceOptions {
  readonly length: number;
  /** Position of the first token: routing by position depends on it. */
  readonly start: number;
  /** Tokens that the states can hold; without it the piece is the whole sequence. */
  readonly capacity?: number;
  /** Put before the names of states in the store, so that several sequences can share it. */
  readonly scope?: string;
  readonly precision: Precision;
  /** Read weights in few bits. */
  readonly weights?: WeightFormat | undefined;
  readonly threads: number;
  /** Branches of a block at the same time, each on its share of the threads. */
  readonly lanes?: boolean | undefined;
}

export function pieceProgram(model: ModelConfig, options: PieceOptions): PieceProgram {
  const { length, start, capacity, scope, precision, weights, threads, lanes = false } = options;
  const graph = new Graph();
  const built = buildModel(graph, model, {
    batch: 1,
    length,
    documents: false,
    start,
    ...(capacity === undefined ? {} : { states: { capacity } }),
  });
  graph.scope('head', () => {
    const last = length > 1 ? splitPositions(built.hidden, [[[length - 1, length]]])[0] : built.hidden;
    graph.output('logits', logitsOf(built, last));
  });
  const lowered = precision === 'bfloat16' ? lowerPrecision(graph).graph : graph;
  const whole = optimize(lowered, precision);
  const read = weights ? quantizeWeights(whole, bitsOf(weights)) : { graph: whole, weights: [] };
  const program = compile(read.graph, { name: `piece of ${length}`, threads, lanes });
  const used = new Set(program.buffers.map(storeKey));
  return {
    program: scope === undefined ? program : scoped(program, scope),
    parameters: built.parameters,
    shadows: built.parameters.filter(({ name }) => used.has(`shadow/${name}`)),
    quantized: read.weights,
    states: built.states,
  };
}

function scoped(program: Program, scope: string): Program {
  const buffers = program.buffers.map((buffer) =>
    buffer.role === 'state' ? { ...buffer, name: scope + buffer.name } : buffer,
  );
  return { ...program, buffers };
}
