/**
 * The programs that score: a piece of a text, with or without states, and what is read of it. Shapes: B rows, L length of
 * the piece, D width, V vocabulary.
 */
import type { StateBinding } from '../blocks/index.ts';
import { compile, lowerPrecision, optimize } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import { buildModel } from '../models/build.ts';
import { logitsOf, lossOf } from '../models/head.ts';
import { splitPositions } from '../ops/index.ts';
import type { EvaluatedModel, EvaluationProgram } from './model.ts';

export interface ScoringOptions {
  readonly rows: number;
  readonly length: number;
  /** Position of the first token: routing by position depends on it. */
  readonly start: number;
  /** Tokens that the states can hold; without it the piece is the whole text. */
  readonly capacity?: number;
  /**
   * `nothing`: only the states go on; `losses`: output `tokenLoss` [B, L] of the input `targets`; a number n: output
   * `logits` [B, n, V] after the last n tokens.
   */
  readonly read: 'nothing' | 'losses' | number;
}

export interface ScoringProgram extends EvaluationProgram {
  /** Their buffers in the store are `state/ROWS.NAME`: rows of other numbers have states of their own. */
  readonly states: readonly StateBinding[];
}

const lossChunk = 1024;

export function scoringProgram(model: EvaluatedModel, options: ScoringOptions): ScoringProgram {
  const { rows, length, start, capacity, read } = options;
  const { precision, threads } = model;
  const graph = new Graph();
  const built = buildModel(graph, model.model, {
    batch: rows,
    length,
    documents: false,
    start,
    ...(capacity === undefined ? {} : { states: { capacity } }),
  });
  graph.scope('head', () => {
    if (read === 'losses') {
      const targets = graph.source('input', 'targets', [rows, length], 'int32');
      const weights = graph.source('input', 'weights', [rows, length]);
      graph.output('tokenLoss', lossOf(built, targets, weights, lossChunk).tokenLoss);
    } else if (read !== 'nothing') {
      const [last] =
        read === length ? [built.hidden] : splitPositions(built.hidden, [[[length - read, length]]]);
      graph.output('logits', logitsOf(built, last));
    }
  });
  const lowered = precision === 'bfloat16' ? lowerPrecision(graph).graph : graph;
  const program = compile(optimize(lowered, precision), { name: `score ${rows} x ${length}`, threads });
  const buffers = program.buffers.map((buffer) =>
    buffer.role === 'state' ? { ...buffer, name: stateName(rows, buffer) } : buffer,
  );
  return {
    program: { ...program, buffers },
    shadows: built.parameters.filter((spec) => lowered.findSource('shadow', spec.name)),
    states: built.states,
  };
}

export function stateName(rows: number, { name }: { readonly name: string }): string {
  return `${rows}.${name}`;
}
