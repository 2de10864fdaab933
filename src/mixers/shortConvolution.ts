/**
 * The short causal convolution, one filter per feature, that stands before the scan of a state-space layer, before a gated
 * recurrence and around the filters of Hyena. Shapes: B batch, L length, E features, K taps.
 */
import type { Tensor } from '../graph/index.ts';
import type { LayerContext } from '../nn/index.ts';
import { parameter } from '../nn/index.ts';
import { causalConvolution } from '../ops/index.ts';
import { carriedDocument } from './carriedDocument.ts';
import type { LayerState, StateShape, StateSpec } from './layer.ts';
import { stateTensor } from './layer.ts';

export interface ShortConvolution {
  /** Its parameters are `name.weight` [E, K] (the last tap is lag 0) and, with a bias, `name.bias` [E]. */
  readonly name: string;
  /** Its state: the last K − 1 inputs. */
  readonly window: string;
  readonly taps: number;
  readonly bias: boolean;
  readonly activation: 'none' | 'silu';
}

export function windowState(
  { window, taps }: Pick<ShortConvolution, 'window' | 'taps'>,
  features: number,
  { batch }: StateShape,
): StateSpec {
  return { name: window, kind: 'window', shape: [batch, taps - 1, features], dtype: 'float32' };
}

/** The filter [E, K] alone. It starts uniform within ±K^(−1/2) and does not decay. */
export function shortFilter(
  features: number,
  { name, taps }: Pick<ShortConvolution, 'name' | 'taps'>,
  context: LayerContext,
): Tensor {
  const reach = taps ** -0.5;
  const start = { kind: 'uniform', low: -reach, high: reach } as const;
  return parameter(context, `${name}.weight`, [features, taps], start, false);
}

/**
 * act(bias + Σ_k weight[k] · x_{t−(K−1)+k}). Filters start uniform within ±K^(−1/2), biases at 0; neither decays.
 * @param x [B, L, E]
 */
export function shortConvolution(
  x: Tensor,
  convolution: ShortConvolution,
  context: LayerContext,
  state: LayerState | undefined,
): { y: Tensor; window: Tensor; document: Tensor } {
  const { name, window, bias, activation } = convolution;
  const features = x.shape[x.shape.length - 1];
  return causalConvolution(
    {
      x,
      weight: shortFilter(features, convolution, context),
      bias: bias ? parameter(context, `${name}.bias`, [features], { kind: 'constant', value: 0 }) : undefined,
      documents: context.documents,
      window: state && stateTensor(state, window),
      document: carriedDocument(context, state),
    },
    { activation },
  );
}
