import { describe, expect, it } from 'vitest';
import type { Tensor } from '../graph/index.ts';
import { BraidError, Graph } from '../graph/index.ts';
import {
  add,
  attention,
  glu,
  gradientNorm,
  linearCrossEntropy,
  matmul,
  multiply,
  reshape,
  rmsNorm,
  rope,
  scale,
  sum,
} from '../ops/index.ts';
import { floats } from '../ops/testing.ts';
import type { Given } from '../runtime/testing.ts';
import { runGraph } from '../runtime/testing.ts';
import { differentiate } from './differentiate.ts';

/** Compares all gradients of `loss` with central differences along a random direction. */
async function checkAgainstDifferences(loss: Tensor, wanted: readonly Tensor[], given: Given): Promise<void> {
  const { graph } = loss;
  const { graph: both, map, gradients } = differentiate(graph, loss, wanted);
  both.output('loss', map(loss));
  for (const tensor of wanted) {
    const gradient = gradients.get(tensor);
    if (gradient) both.output(`gradient ${tensor.name}`, gradient);
  }
  const { outputs } = await runGraph(both, given);
  for (const tensor of wanted) {
    const direction = floats(tensor.shape, { seed: 77 }).values;
    const lossAt = async (step: number): Promise<number> => {
      const moved = Array.from(given[tensor.name], (value, i) => value + step * direction[i]);
      return (await runGraph(both, { ...given, [tensor.name]: moved })).outputs.loss[0];
    };
    const measured = ((await lossAt(1e-5)) - (await lossAt(-1e-5))) / 2e-5;
    const gradient = outputs[`gradient ${tensor.name}`];
    const expected = gradient.reduce((total, slope, i) => total + slope * direction[i], 0);
    expect(Math.abs(measured - expected), tensor.name).toBeLessThan(
      1e-6 * Math.max(Math.hypot(...gradient), 1e-2),
    );
  }
}

function randomValues(tensors: readonly Tensor[]): Record<string, ArrayLike<number>> {
  return Object.fromEntries(
    tensors.map((tensor, i) => [tensor.name, floats(tensor.shape, { seed: i + 1 }).values]),
  );
}

describe('differentiate', () => {
  it('agrees with finite differences on a two-layer network with a loss and a shared weight', async () => {
    const graph = new Graph();
    const parameter = (name: string, ...shape: number[]): Tensor => graph.source('parameter', name, shape);
    const x = parameter('x', 2, 3, 4);
    const [gate, up, down] = [parameter('gate', 6, 4), parameter('up', 6, 4), parameter('down', 4, 6)];
    const norm = parameter('norm', 4);
    const head = parameter('head', 5, 4);
    const layer = (h: Tensor): Tensor => {
      const normed = rmsNorm(h, norm, { epsilon: 1e-5 });
      const hidden = glu(
        matmul(normed, gate, { transposeB: true }),
        matmul(normed, up, { transposeB: true }),
        {
          kind: 'silu',
        },
      );
      return add(h, matmul(hidden, down, { transposeB: true }));
    };
    const targets = graph.source('input', 'targets', [2, 3], 'int32');
    const weights = graph.source('input', 'weights', [2, 3]);
    const { loss } = linearCrossEntropy({ x: layer(layer(x)), w: head, targets, weights }, { chunk: 4 });
    const wanted = [x, gate, up, down, norm, head];
    await checkAgainstDifferences(loss, wanted, {
      ...randomValues([...wanted, weights]),
      targets: [0, 4, 2, -1, 3, 1],
    });
  });

  it('agrees with finite differences on an attention layer', async () => {
    const graph = new Graph();
    const x = graph.source('parameter', 'x', [1, 5, 8]);
    const wq = graph.source('parameter', 'wq', [8, 8]);
    const wk = graph.source('parameter', 'wk', [4, 8]);
    const positions = graph.source('input', 'positions', [1, 5], 'int32');
    const project = (w: Tensor, heads: number): Tensor =>
      reshape(matmul(x, w, { transposeB: true }), [1, 5, heads, 4]);
    const q = rope(project(wq, 2), positions, { theta: 100 });
    const k = rope(project(wk, 1), positions, { theta: 100 });
    const { out } = attention({ q, k, v: project(wk, 1) });
    const y = add(x, reshape(out, [1, 5, 8]));
    const loss = sum(multiply(y, scale(y, 0.5)));
    await checkAgainstDifferences(loss, [x, wq, wk], {
      ...randomValues([x, wq, wk]),
      positions: [0, 1, 2, 3, 4],
    });
  });

  it('gives no gradient to a tensor on which the loss does not depend', () => {
    const graph = new Graph();
    const used = graph.source('parameter', 'used', [3]);
    const unused = graph.source('parameter', 'unused', [3]);
    scale(unused, 2);
    const { gradients } = differentiate(graph, sum(used), [used, unused]);
    expect([...gradients.keys()]).toEqual([used]);
  });

  it('differentiates with respect to computed tensors too', async () => {
    const graph = new Graph();
    const x = graph.source('parameter', 'x', [2]);
    const y = scale(x, 3);
    const loss = sum(multiply(y, y));
    const result = differentiate(graph, loss, [x, y]);
    for (const tensor of [x, y]) {
      const gradient = result.gradients.get(tensor);
      if (gradient) result.graph.output(tensor.name || 'y', gradient);
    }
    const { outputs } = await runGraph(result.graph, { x: [1, 2] });
    expect(outputs).toEqual({ x: [18, 36], y: [6, 12] });
  });

  it('puts derived calls at the path and lane of their origin', () => {
    const graph = new Graph();
    const x = graph.source('parameter', 'x', [2]);
    const lane = { group: 'block', index: 1 };
    const y = graph.scope('block', () =>
      graph.lane(lane, () => {
        const inner = scale(x, 3);
        return multiply(inner, inner);
      }),
    );
    const result = differentiate(graph, sum(add(y, x)), [x]);
    const backward = result.graph.nodes.filter((node) => node.direction === 'backward');
    const inLane = backward.filter((node) => node.lane !== undefined);
    expect(inLane.map((node) => node.operation.name)).toEqual(['multiply', 'multiply', 'add', 'scale']);
    for (const node of inLane) {
      expect(node.path).toBe('block.backward');
      expect(node.lane).toEqual({ group: 'block.backward', index: 1 });
    }
    const total = result.gradients.get(x)?.producer?.node;
    expect(total?.operation.name).toBe('add');
    expect(total?.lane).toBeUndefined();
    // The given graph is as it was.
    expect(graph.nodes).toHaveLength(4);
  });

  it('does not differentiate towards what is not wanted', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [4, 4]);
    const w = graph.source('parameter', 'w', [4, 4]);
    const fixed = gradientNorm([x]);
    const { gradients } = differentiate(graph, add(sum(matmul(x, w)), fixed), [w]);
    // gradientNorm has no gradient, and needs none here.
    expect(gradients.has(w)).toBe(true);
  });

  it('names an operation without gradient and its layer, and a loss that is not a number', () => {
    const graph = new Graph();
    const w = graph.source('parameter', 'w', [4]);
    const norm = graph.scope('blocks.0', () => gradientNorm([w]));
    expect(() => differentiate(graph, norm, [w])).toThrow(/gradientNorm in blocks\.0 has no gradient/);
    expect(() => differentiate(graph, w, [w])).toThrow(BraidError);
  });
});
