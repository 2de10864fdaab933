import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { blockMatmul } from './blockMatmul.ts';
import { matmul } from './matmul.ts';
import { cast } from './tensor.ts';
import { checkGradient, floats, givenFloats, run } from './testing.ts';

/** The same matrix written out, zero off the diagonal blocks: [H·K, H·N]. */
function dense(w: ArrayLike<number>, [blocks, k, n]: readonly [number, number, number]): number[] {
  return Array.from({ length: blocks * k * blocks * n }, (_, at) => {
    const [row, column] = [Math.floor(at / (blocks * n)), at % (blocks * n)];
    const block = Math.floor(row / k);
    if (block !== Math.floor(column / n)) return 0;
    return w[row * n + (column % n)];
  });
}

const sizes = [
  [1, 3, 2],
  [3, 1, 4],
  [4, 5, 3],
] as const;

describe('blockMatmul', () => {
  it.each(sizes)('is the product with the matrix written out: %d blocks of %d × %d', (blocks, k, n) => {
    const x = floats([2, 3, blocks * k]);
    const w = floats([blocks, k, n], { seed: 2 });
    const bias = floats([blocks, n], { seed: 3 });
    const [y] = run((a, b, c) => blockMatmul(a, b, { bias: c }), [x, w, bias]);
    const whole = givenFloats([blocks * k, blocks * n], dense(w.values, [blocks, k, n]));
    const [expected] = run(
      (a, b, c) => matmul(a, b, { bias: c }),
      [x, whole, givenFloats([blocks * n], bias.values)],
    );
    for (let i = 0; i < y.length; i++) expect(y[i]).toBeCloseTo(expected[i], 13);
  });

  it.each(sizes)('has gradients: %d blocks of %d × %d', (blocks, k, n) => {
    const operands = [floats([5, blocks * k]), floats([blocks, k, n], { seed: 2 })];
    checkGradient((x, w) => blockMatmul(x, w), operands);
    checkGradient((x, w) => blockMatmul(cast(x, 'bfloat16'), cast(w, 'bfloat16')), operands);
    checkGradient(
      (x, w, bias) => blockMatmul(x, w, { bias }),
      [...operands, floats([blocks, n], { seed: 3 })],
    );
  });

  it('counts the products inside the blocks', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 7, 12]);
    const node = blockMatmul(x, graph.source('parameter', 'w', [3, 4, 5])).producer?.node;
    expect(node?.operation.cost(node.inputs, node.outputs, node.attributes).model).toBe(2 * 14 * 3 * 4 * 5);
  });

  it('refuses operands that do not fit', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 7, 12]);
    const w = (...shape: number[]) => graph.source('parameter', `w${shape.join('x')}`, shape);
    expect(() => blockMatmul(x, w(3, 5, 4))).toThrow('3 blocks of 5 features, 15 in all');
    expect(() => blockMatmul(x, w(3, 4, 4), { bias: w(4, 3) })).toThrow("'bias' must have shape [3, 4]");
    expect(() => blockMatmul(cast(x, 'bfloat16'), w(3, 4, 4))).toThrow('both be bfloat16');
  });
});
