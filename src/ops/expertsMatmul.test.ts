import { describe, expect, it } from 'vitest';
import type { Tensor } from '../graph/index.ts';
import { Graph } from '../graph/index.ts';
import { activation } from './activation.ts';
import { gatherColumns, groupTokens, topK } from './expertsChoice.ts';
import { groupedMatmul } from './expertsMatmul.ts';
import { gatherRows, scatterRows } from './expertsRows.ts';
import { softmax } from './softmax.ts';
import { cast } from './tensor.ts';
import { checkGradient, floats, integers, run } from './testing.ts';

/** Splits of rows among experts, empty groups at both ends and in the middle among them. */
const splits = [
  [0, 1],
  [0, 0, 3, 3, 5, 5],
  [0, 6, 7],
];

const product = (x: Tensor, w: Tensor, offsets: Tensor): Tensor => groupedMatmul(x, w, offsets);

describe('groupedMatmul', () => {
  it.each(splits)('multiplies the rows of every expert with its weight: %o', (...offsets) => {
    const [experts, rows] = [offsets.length - 1, offsets[offsets.length - 1]];
    const [n, k] = [3, 5];
    const x = floats([rows, k]);
    const w = floats([experts, n, k], { seed: 2 });
    const [y] = run(product, [x, w, integers([experts + 1], offsets)]);
    for (let row = 0; row < rows; row++) {
      const expert = offsets.findIndex((start, e) => row >= start && row < offsets[e + 1]);
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let i = 0; i < k; i++) sum += x.values[row * k + i] * w.values[(expert * n + column) * k + i];
        expect(y[row * n + column]).toBeCloseTo(sum, 13);
      }
    }
  });

  it.each(splits)('has its gradient, zero for experts without rows: %o', (...offsets) => {
    const [experts, rows] = [offsets.length - 1, offsets[offsets.length - 1]];
    checkGradient(product, [
      floats([rows, 3]),
      floats([experts, 2, 3], { seed: 2 }),
      integers([experts + 1], offsets),
    ]);
  });

  it('multiplies bfloat16 operands, its gradients too', () => {
    checkGradient(
      (x, w, offsets) => groupedMatmul(cast(x, 'bfloat16'), cast(w, 'bfloat16'), offsets),
      [floats([4, 3]), floats([2, 2, 3], { seed: 2 }), integers([3], [0, 1, 4])],
    );
  });

  it('counts one product per row', () => {
    const graph = new Graph();
    const y = groupedMatmul(
      graph.source('input', 'x', [7, 5]),
      graph.source('parameter', 'w', [4, 3, 5]),
      graph.source('input', 'offsets', [5], 'int32'),
    );
    const node = y.producer?.node;
    expect(node?.operation.cost(node.inputs, node.outputs, node.attributes).model).toBe(2 * 7 * 3 * 5);
  });

  it('refuses operands that do not fit, and at run time offsets that leave rows out', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [7, 5]);
    const offsets = graph.source('input', 'offsets', [5], 'int32');
    const w = (...shape: number[]) => graph.source('parameter', `w${shape.join('x')}`, shape);
    expect(() => groupedMatmul(x, w(4, 3, 6), offsets)).toThrow("'w' must have shape [4, 3, 5]");
    expect(() => groupedMatmul(x, w(3, 3, 5), offsets)).toThrow("'offsets' must have shape [4]");
    expect(() => groupedMatmul(cast(x, 'bfloat16'), w(4, 3, 5), offsets)).toThrow('both be bfloat16');
    const rows = floats([3, 1]);
    for (const wrong of [
      [0, 2, 2],
      [1, 2, 3],
      [0, 4, 3],
    ]) {
      expect(() => run(product, [rows, floats([2, 1, 1]), integers([3], wrong)])).toThrow(
        'must rise from 0 to the 3 rows',
      );
    }
  });
});

describe('a mixture of experts', () => {
  const [tokens, width, experts, hidden, k] = [7, 3, 4, 5, 2];
  const inputs = [
    floats([tokens, width]),
    floats([tokens, experts], { seed: 2, low: -2, high: 2 }),
    floats([experts, hidden, width], { seed: 3 }),
    floats([experts, width, hidden], { seed: 4 }),
  ];

  /** Only the rows that are needed. */
  const sparse = (x: Tensor, scores: Tensor, up: Tensor, down: Tensor): Tensor => {
    const weights = softmax(scores);
    const index = topK(weights, undefined, { k });
    const { order, offsets } = groupTokens(index, { experts });
    const rows = gatherRows(x, order, { repeat: k });
    const inner = activation(groupedMatmul(rows, up, offsets), { kind: 'silu' });
    return scatterRows(groupedMatmul(inner, down, offsets), order, gatherColumns(weights, index), {
      repeat: k,
    });
  };

  it('is the sum of the chosen experts, each times its weight', () => {
    const [x, scores, up, down] = inputs.map(({ values }) => values);
    const [y] = run(sparse, inputs);
    for (let token = 0; token < tokens; token++) {
      const own = Array.from({ length: experts }, (_, e) => scores[token * experts + e]);
      const total = own.reduce((sum, score) => sum + Math.exp(score), 0);
      const chosen = own
        .map((score, expert) => ({ expert, score }))
        .sort((a, b) => b.score - a.score)
        .slice(0, k);
      const expected = new Array<number>(width).fill(0);
      for (const { expert, score } of chosen) {
        const inner = Array.from({ length: hidden }, (_, h) => {
          let sum = 0;
          for (let i = 0; i < width; i++) sum += up[(expert * hidden + h) * width + i] * x[token * width + i];
          return sum / (1 + Math.exp(-sum));
        });
        for (let i = 0; i < width; i++) {
          let sum = 0;
          inner.forEach((value, h) => {
            sum += down[(expert * width + i) * hidden + h] * value;
          });
          expected[i] += (Math.exp(score) / total) * sum;
        }
      }
      expected.forEach((value, i) => {
        expect(y[token * width + i]).toBeCloseTo(value, 13);
      });
    }
  });

  it('has gradients for tokens, scores and both weights', () => {
    checkGradient(sparse, inputs);
  });
});
