/**
 * Fixed tensors that a layer itself moves while it trains, such as the bias that balances experts: once per optimizer step,
 * by what all tokens of the step showed, however many parts the batch was cut into.
 */
import type { Graph, Tensor } from '../graph/index.ts';

export interface Adaptation {
  /** The fixed tensor. */
  readonly target: Tensor;
  /** A sum over the tokens at hand, float32. */
  readonly observed: Tensor;
  /** The new values, from the old ones and the sum over all tokens of the step. */
  rule(target: Tensor, observed: Tensor): Tensor;
}

/** Assigns the new values of fixed tensors, after the forward pass that read the old ones. */
export function adapt(graph: Graph, adaptations: readonly Adaptation[]): void {
  graph.at({ path: 'adapt', direction: 'update' }, () => {
    for (const { target, observed, rule } of adaptations) graph.assign(target, rule(target, observed));
  });
}
