/** What stands after the last norm: logits, and the loss. Shapes: B batch, L length, D width, V vocabulary. */
import type { Tensor } from '../graph/index.ts';
import { activation, linearCrossEntropy, matmul, scale } from '../ops/index.ts';

export interface Head {
  /** [V, D]: logits are the hidden features times its transpose. */
  readonly head: Tensor;
  /** c: logits z become c · tanh(z / c). Absent: they stay as they are. */
  readonly softCap: number | undefined;
}

/** Logits [B, L, V] of hidden features [B, L, D]. */
export function logitsOf({ head, softCap }: Head, hidden: Tensor): Tensor {
  const logits = matmul(hidden, head, { transposeB: true });
  if (softCap === undefined) return logits;
  return scale(activation(scale(logits, 1 / softCap), { kind: 'tanh' }), softCap);
}

/**
 * Σ weight · cross-entropy of the next tokens, and the cross-entropy of each, without logits of all tokens in memory.
 * @param targets [B, L] int32; −1: ignored
 * @param weights [B, L]
 * @param chunk tokens whose logits are in memory at the same time
 */
export function lossOf(
  { head, softCap, hidden }: Head & { readonly hidden: Tensor },
  targets: Tensor,
  weights: Tensor,
  chunk: number,
): { loss: Tensor; tokenLoss: Tensor } {
  return linearCrossEntropy({ x: hidden, w: head, targets, weights }, { chunk, cap: softCap });
}
