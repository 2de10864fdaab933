/**
 * The inner filters of Hyena that are given tap by tap: K taps, shared by groups of neighbouring features. Shapes: B batch,
 * L length, E features, G groups, K taps.
 */
import type { Tensor } from '../graph/index.ts';
import type { Initializer, LayerContext } from '../nn/index.ts';
import { filterConvolution } from '../ops/index.ts';
import { carriedDocument } from './carriedDocument.ts';
import type { HyenaOptions, InnerFilter } from './hyena.ts';
import { innerWidth } from './hyena.ts';
import type { Meaning } from './layer.ts';
import { stateTensor } from './layer.ts';
import { windowState } from './shortConvolution.ts';

export const explicitAlgorithms = ['fused', 'direct', 'blocked'] as const;
export type ExplicitAlgorithm = (typeof explicitAlgorithms)[number];

export interface ExplicitFilter {
  /** K */
  readonly taps: number;
  /** E / G */
  readonly groupSize: number;
  /** All mean the same. `fused`: one operation for gates and filters, and `direct` where a state is carried. */
  readonly algorithm: ExplicitAlgorithm;
  /** Rows of a block of `blocked`. */
  readonly block: number;
  readonly skip?: Initializer | undefined;
  /** Declares the filter [G, K]; the first tap is lag 0. */
  filter(groups: number, context: LayerContext): Tensor;
}

/** See `LayerType.meaning`: all algorithms compute the same. */
export function explicitMeaning(
  { algorithm: _, block: __, ...given }: HyenaOptions & Pick<ExplicitFilter, 'algorithm' | 'block'>,
  width: number,
): Meaning {
  return { ...given, width: innerWidth(given, width) };
}

/** z_t = Σ_τ h[⌊channel · G / E⌋, τ] · u_{t−τ}, with the last K − 1 inputs as its state `window`. */
export function explicitFilter(given: ExplicitFilter): InnerFilter {
  const { taps, groupSize, algorithm, block } = given;
  return {
    skip: given.skip,
    fused:
      algorithm === 'fused' ? (features, context) => given.filter(features / groupSize, context) : undefined,
    states: (features, shape) => [windowState({ window: 'window', taps }, features, shape)],
    apply(u, context, state) {
      const features = u.shape[u.shape.length - 1];
      const { z, window } = filterConvolution(
        {
          u,
          taps: given.filter(features / groupSize, context),
          documents: context.documents,
          window: state && stateTensor(state, 'window'),
          document: carriedDocument(context, state),
        },
        { algorithm: algorithm === 'fused' ? 'direct' : algorithm, block },
      );
      return { z, state: { window } };
    },
  };
}
