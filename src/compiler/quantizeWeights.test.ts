import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { embedding, matmul, rmsNorm } from '../ops/index.ts';
import { lowerPrecision } from './lowerPrecision.ts';
import { optimize } from './optimize.ts';
import { quantizeWeights } from './quantizeWeights.ts';

function network(): Graph {
  const graph = new Graph();
  const weight = (name: string, ...shape: number[]) => graph.source('parameter', name, shape);
  const table = weight('table', 40, 64);
  const x = embedding(table, graph.source('input', 'ids', [1, 3], 'int32'));
  const normed = rmsNorm(x, weight('norm', 64), { epsilon: 1e-5 });
  const hidden = matmul(normed, weight('up', 48, 64), { transposeB: true, bias: weight('bias', 48) });
  const odd = matmul(hidden, weight('down', 64, 48), { transposeB: true });
  const plain = matmul(odd, weight('plain', 64, 64));
  graph.output('scores', matmul(plain, odd.graph.source('input', 'other', [5, 64]), { transposeB: true }));
  graph.output('logits', matmul(plain, table, { transposeB: true }));
  return graph;
}

describe('quantizeWeights', () => {
  it('takes the weights of linear layers whose rows are whole groups, biases and shared tables with them', () => {
    const { graph, weights } = quantizeWeights(network(), 4);
    expect(weights.map(({ name }) => name)).toEqual(['up', 'table']);
    const products = graph.nodes.filter(({ operation }) => operation.name === 'quantizedMatmul');
    expect(products.map(({ inputs }) => inputs.map((input) => input?.name || undefined).slice(1, 4))).toEqual(
      [
        ['up.int4', 'up.int4.scales', 'bias'],
        ['table.int4', 'table.int4.scales', undefined],
      ],
    );
    const left = graph.nodes.filter(({ operation }) => operation.name === 'matmul');
    expect(left.map(({ inputs }) => inputs[1]?.name)).toEqual(['down', 'plain', 'other']);
    expect(graph.nodes[0].inputs[0]?.name).toBe('table');
  });

  it('takes BF16 copies and results stored in BF16 as well', () => {
    const lowered = optimize(lowerPrecision(network()).graph, 'bfloat16');
    const { graph, weights } = quantizeWeights(lowered, 8);
    expect(weights.map(({ name }) => name)).toEqual(['up', 'table']);
    const [first] = graph.nodes.filter(({ operation }) => operation.name === 'quantizedMatmul');
    expect(first.inputs[0]?.dtype).toBe('bfloat16');
    expect(first.outputs[0].dtype).toBe('bfloat16');
  });
});
