/**
 * The decoder of MAD's compression (Poli et al. 2024): what the model made of the last token, with a code for every
 * place added, through two linear layers with GELU, each behind a norm, and a norm. Shapes: B rows, L length, D width.
 */
import type { Tensor } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';
import { linear, norm } from '../../nn/index.ts';
import { activation, add, embedding, reshape, splitPositions } from '../../ops/index.ts';

/**
 * The graph gets the inputs `rows` int32 [B, L], the number of each row, and `code` [B, L, D].
 * @param hidden [B, L, D]
 */
export function decode(hidden: Tensor, context: LayerContext): Tensor {
  const { graph, batch, length, width } = context;
  const [last] = splitPositions(hidden, [[[length - 1, length]]]);
  const rows = graph.source('input', 'rows', [batch, length], 'int32');
  const everywhere = embedding(reshape(last, [batch, width]), rows);
  return graph.scope('decoder', () => {
    let x = add(everywhere, graph.source('input', 'code', [batch, length, width]));
    for (const name of ['first', 'second']) {
      const product = linear(norm(x, `${name}Norm`, context), name, width, context, { bias: true });
      x = activation(product, { kind: 'geluErf' });
    }
    return norm(x, 'lastNorm', context);
  });
}

/** Fills `code` with sines and cosines of falling frequency (Vaswani et al. 2017, section 3.5). */
export function fillCode(code: Float32Array | Float64Array, length: number, width: number): void {
  for (let i = 0; i < code.length; i++) {
    const feature = i % width;
    const place = Math.floor(i / width) % length;
    const angle = place / 10_000 ** ((feature - (feature % 2)) / width);
    code[i] = feature % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  }
}
