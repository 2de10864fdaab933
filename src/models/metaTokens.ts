/**
 * Meta tokens: learned tokens that stand before every row and are dropped before the head (Hymba, Dong et al. 2024,
 * arXiv:2411.13676, section 2.3).
 *
 * They are a document of their own at the front of the row. Attention sees them from every document, and past every window,
 * as its `sinks`; everything else starts each document from zero, as it does without them. So a document means the same alone,
 * packed behind others, and in pieces, of which the first takes the meta tokens in. In the paper the Mamba heads start from what
 * the meta tokens left in their state; in packed rows that would be so for the first document only.
 *
 * All of them stand at position 0, and the tokens of a document where they would stand alone: rotary positions then
 * tell how far into its document a token is, and nothing about the order of meta tokens, which has no meaning.
 *
 * Shapes: B batch, L length, D width, M meta tokens.
 */
import type { Tensor } from '../graph/index.ts';
import type { LayerContext } from '../nn/index.ts';
import { parameter } from '../nn/index.ts';
import { advance, embedding, mergePositions, reshape, splitPositions } from '../ops/index.ts';

/**
 * The context of the blocks of a model with meta tokens: their documents are numbered from 1, as 0 is that of the meta tokens,
 * and positions with them, so that their difference stays.
 */
export function besideMeta(context: LayerContext): LayerContext {
  const { positions, documents } = context;
  return { ...context, positions: plusOne(positions), documents: plusOne(documents ?? zerosLike(positions)) };
}

/**
 * Puts `count` meta tokens before the embedded tokens [B, L, D]: the stream [B, M + L, D] and its context. They are the
 * parameter `meta.weight` [M, D].
 * @param context one of `besideMeta`
 */
export function prependMeta(
  stream: Tensor,
  context: LayerContext,
  count: number,
): { readonly stream: Tensor; readonly context: LayerContext } {
  const { graph, batch, width, length } = context;
  const behind = (tensor: Tensor): Tensor =>
    mergePositions([tensor], [[[count, count + length]]], count + length);
  return graph.scope('meta', () => {
    const weight = parameter(context, 'weight', [count, width], {
      kind: 'normal',
      deviation: context.deviation,
    });
    // One row of all of them, read once for every row of the batch.
    const first = splitPositions(context.positions, [[[0, 1]]])[0];
    const row = embedding(reshape(weight, [1, count * width]), zerosLike(first));
    const meta = reshape(row, [batch, count, width]);
    return {
      stream: mergePositions([meta, stream], [[[0, count]], [[count, count + length]]], count + length),
      context: {
        ...context,
        length: count + length,
        positions: behind(context.positions),
        documents: context.documents && behind(context.documents),
      },
    };
  });
}

/** The stream without its first `count` positions. */
export function dropMeta(stream: Tensor, count: number): Tensor {
  return splitPositions(stream, [[[count, stream.shape[1]]]])[0];
}

/** Zeros of the shape of an int32 tensor [B, L]. */
function zerosLike(tensor: Tensor): Tensor {
  const length = tensor.shape[1];
  const first = splitPositions(tensor, [[[0, 1]]])[0];
  // What is merged from nowhere is zero.
  return splitPositions(mergePositions([first], [[[0, 1]]], length + 1), [[[1, length + 1]]])[0];
}

function plusOne(tensor: Tensor): Tensor {
  const { shape } = tensor;
  return reshape(advance(reshape(tensor, [shape[0] * shape[1]]), 1), shape);
}
