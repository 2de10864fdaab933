/**
 * What the Hyena operators have in common (Poli et al. 2023; Ku et al. 2025, "Systems and Algorithms for Convolutional
 * Multi-Hybrid Language Models at Scale", equation 1):
 *
 *     q = T ∗ (W_q x)    k = H ∗ (W_k x)    v = K ∗ (W_v x)     short convolutions per feature
 *     u = k ⊙ v          z = h ∗ u + d ⊙ u                      the inner filter, with or without the skip d
 *     y = W_o (q ⊙ z) + b
 *
 * They differ in the inner filter h. Shapes: B batch, L length, D width, E inner features.
 */
import { z } from 'zod';
import type { Tensor } from '../graph/index.ts';
import type { Initializer, LayerContext } from '../nn/index.ts';
import { linear, outputProjection, parameter } from '../nn/index.ts';
import { add, gatedConvolution, multiply, multiplyChannels } from '../ops/index.ts';
import { carriedDocument, documentStates } from './carriedDocument.ts';
import type { LayerResult, LayerState, OptionIssue, StateShape, StateSpec } from './layer.ts';
import type { ShortConvolution } from './shortConvolution.ts';
import { shortConvolution, shortFilter, windowState } from './shortConvolution.ts';

/** Options of every Hyena operator. */
export const hyenaOptions = {
  /** E. Not given: the width of the layer. */
  width: z.int().positive().optional(),
  /** Taps of the short convolutions. */
  featurizer: z.int().min(2).max(16).default(3),
  /** A bias on the output projection. */
  outputBias: z.boolean().default(true),
};

export interface HyenaOptions {
  readonly width?: number | undefined;
  readonly featurizer: number;
  readonly outputBias: boolean;
}

/** The inner filter: what it declares and computes for u [B, L, E]. */
export interface InnerFilter {
  /** Where the skip d starts; without it there is none. */
  readonly skip?: Initializer | undefined;
  states(features: number, shape: StateShape): readonly StateSpec[];
  /** Declares the filter [G, K] where one operation shall do all that needs no state; see `gatedConvolution`. */
  readonly fused?: ((features: number, context: LayerContext) => Tensor) | undefined;
  /** z before the skip; new states by name where a state was given. */
  apply(u: Tensor, context: LayerContext, state: LayerState | undefined): { z: Tensor; state: LayerState };
}

const streams = ['query', 'key', 'value'] as const;

function featurizerOf(stream: (typeof streams)[number], taps: number): ShortConvolution {
  return { name: `${stream}Convolution`, window: `${stream}Window`, taps, bias: false, activation: 'none' };
}

export function innerWidth(given: HyenaOptions, width: number): number {
  return given.width ?? width;
}

export function hyenaStates(given: HyenaOptions, filter: InnerFilter, shape: StateShape): StateSpec[] {
  const features = innerWidth(given, shape.width);
  return [
    ...streams.map((stream) => windowState(featurizerOf(stream, given.featurizer), features, shape)),
    ...filter.states(features, shape),
    ...documentStates(shape),
  ];
}

/** @param x [B, L, D] */
export function hyena(
  x: Tensor,
  given: HyenaOptions,
  filter: InnerFilter,
  context: LayerContext,
  state: LayerState | undefined,
): LayerResult {
  const features = innerWidth(given, context.width);
  const project = (y: Tensor): Tensor => outputProjection(y, context, 'output', { bias: given.outputBias });
  if (!state && filter.fused)
    return { output: project(hyenaAtOnce(x, given, filter, filter.fused, context)) };
  const [q, k, v] = streams.map((stream) =>
    shortConvolution(
      linear(x, stream, features, context),
      featurizerOf(stream, given.featurizer),
      context,
      state,
    ),
  );
  const u = multiply(k.y, v.y);
  const inner = filter.apply(u, context, state);
  const skipped = filter.skip
    ? add(inner.z, multiplyChannels(u, parameter(context, 'skip', [features], filter.skip)))
    : inner.z;
  const output = project(multiply(q.y, skipped));
  if (!state) return { output };
  const document = carriedDocument(context, state) && { document: q.document };
  const windows = { queryWindow: q.window, keyWindow: k.window, valueWindow: v.window };
  return { output, state: { ...windows, ...inner.state, ...document } };
}

/** q ⊙ z [B, L, E] of sequences from their beginning. */
function hyenaAtOnce(
  x: Tensor,
  given: HyenaOptions,
  filter: InnerFilter,
  declare: NonNullable<InnerFilter['fused']>,
  context: LayerContext,
): Tensor {
  const features = innerWidth(given, context.width);
  const [q, k, v] = streams.map((stream) => ({
    x: linear(x, stream, features, context),
    filter: shortFilter(features, featurizerOf(stream, given.featurizer), context),
  }));
  return gatedConvolution({
    ...{ q: q.x, k: k.x, v: v.x },
    ...{ qFilter: q.filter, kFilter: k.filter, vFilter: v.filter },
    taps: declare(features, context),
    skip: filter.skip && parameter(context, 'skip', [features], filter.skip),
    documents: context.documents,
  });
}

/** Filters that `size` neighbouring features share must cover all of them. */
export function checkGroups(
  given: HyenaOptions & { readonly groupSize: number },
  width: number,
): OptionIssue[] {
  const features = innerWidth(given, width);
  if (features % given.groupSize === 0) return [];
  const message =
    `is ${given.groupSize}, which does not divide the ${features} features; choose a divisor (1: a filter per ` +
    `feature).`;
  return [{ option: 'groupSize', message }];
}
