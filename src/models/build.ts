/** A configuration becomes a graph. Shapes: B batch, L length, D width, V vocabulary. */
import type { Block, BlockSummary, BuiltBlocks, StateBinding } from '../blocks/index.ts';
import { buildBlocks } from '../blocks/index.ts';
import type { Graph, Tensor } from '../graph/index.ts';
import { BraidError } from '../graph/index.ts';
import type { Adaptation, LayerContext, ParameterSpec } from '../nn/index.ts';
import { normGain, ParameterList, parameter, scaled } from '../nn/index.ts';
import { embedding, rmsNorm } from '../ops/index.ts';
import type { ModelConfig } from './config.ts';
import { blocksOf } from './config.ts';
import type { Head } from './head.ts';
import { besideMeta, dropMeta, prependMeta } from './metaTokens.ts';

export interface ModelOptions {
  readonly batch: number;
  readonly length: number;
  /** Rows are packed from several documents; their starts are an input. */
  readonly documents: boolean;
  /** Position in the row of the first token, 0 unless given: routing by position needs it. */
  readonly start?: number;
  /** Carry states from piece to piece, with room for `capacity` tokens. */
  readonly states?: { readonly capacity: number };
  /** The graph is that of a training step: layers then say how they move fixed tensors. */
  readonly training?: boolean;
}

export interface BuiltModel extends Head {
  /** [B, L, D] float32, after the final norm, scaled by `logitScale`. */
  readonly hidden: Tensor;
  /** Graph inputs, int32 [B, L]. */
  readonly inputs: { readonly ids: Tensor; readonly positions: Tensor; readonly documents?: Tensor };
  readonly parameters: readonly ParameterSpec[];
  /** Persistent sources that the program reads and assigns; empty without `states`. */
  readonly states: readonly StateBinding[];
  /** How layers move fixed tensors; empty unless `training` is asked for. */
  readonly adaptations: readonly Adaptation[];
  /** What the branches of parallel and routed blocks were given. */
  readonly blocks: readonly BlockSummary[];
}

/**
 * Builds the model into a graph: token embedding, blocks, final RMSNorm. The graph gets the inputs `ids`, `positions`
 * and, with documents, `documents`. Faults of the configuration are `BraidError('config')`.
 */
export function buildModel(graph: Graph, config: ModelConfig, options: ModelOptions): BuiltModel {
  const { batch, length, start = 0 } = options;
  for (const [name, value] of Object.entries({ batch, length })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new BraidError('config', `The ${name} must be a whole number of at least 1; given ${value}.`);
    }
  }
  const blocks = blocksOf(config);
  const ids = graph.source('input', 'ids', [batch, length], 'int32');
  const positions = graph.source('input', 'positions', [batch, length], 'int32');
  const documents = options.documents
    ? graph.source('input', 'documents', [batch, length], 'int32')
    : undefined;
  const parameters = new ParameterList();
  const deviation = config.initialDeviation;
  const adaptations: Adaptation[] | undefined = options.training ? [] : undefined;
  const context: LayerContext = {
    graph,
    batch,
    length,
    width: config.width,
    positions,
    documents,
    epsilon: config.normEpsilon,
    normOffset: config.normOffset,
    deviation,
    residualDeviation: deviation / Math.sqrt(2 * blocks.length),
    normalizeOutput: false,
    adaptations,
    parameters,
  };
  const weight = (scope: string): Tensor =>
    graph.scope(scope, () =>
      parameter(context, 'weight', [config.vocabulary, config.width], { kind: 'normal', deviation }),
    );
  const table = weight('embedding');
  const embedded = graph.scope('embedding', () => scaled(embedding(table, ids), config.embeddingScale));
  const built = buildBehindMeta(embedded, blocks, context, { ...options, start }, config.metaTokens);
  const hidden = graph.scope('finalNorm', () => {
    const gain = normGain(built.stream, 'weight', context);
    const normed = rmsNorm(built.stream, gain, { epsilon: config.normEpsilon });
    return scaled(normed, config.logitScale);
  });
  const head = config.tiedHead ? table : weight('head');
  return {
    hidden,
    head,
    softCap: config.logitSoftCap,
    inputs: { ids, positions, ...(documents ? { documents } : {}) },
    parameters: parameters.specs,
    states: built.states,
    adaptations: adaptations ?? [],
    blocks: built.blocks,
  };
}

/** The blocks, behind meta tokens where there are any: the piece that starts a row takes them in, later ones do not. */
function buildBehindMeta(
  embedded: Tensor,
  blocks: readonly Block[],
  context: LayerContext,
  { start, states }: { readonly start: number; readonly states?: { readonly capacity: number } },
  count: number,
): BuiltBlocks {
  if (count === 0) return buildBlocks(embedded, blocks, context, { start, states });
  const options = { start, states: states && { capacity: states.capacity + count } };
  const beside = besideMeta(context);
  if (states && start > 0) return buildBlocks(embedded, blocks, beside, options);
  const whole = prependMeta(embedded, beside, count);
  const built = buildBlocks(whole.stream, blocks, whole.context, options);
  return { ...built, stream: dropMeta(built.stream, count) };
}
