import { describe, expect, it } from 'vitest';
import type { Tensor } from '../graph/index.ts';
import { byteSize, Graph } from '../graph/index.ts';
import {
  add,
  attention,
  cast,
  concat,
  glu,
  linearCrossEntropy,
  matmul,
  multiply,
  reshape,
  rmsNorm,
  rope,
  scale,
  split,
  sum,
} from '../ops/index.ts';
import { floats } from '../ops/testing.ts';
import { runGraph } from '../runtime/testing.ts';
import { compile } from './compile.ts';
import { differentiate } from './differentiate.ts';
import { eliminateDead } from './eliminateDead.ts';
import { fuseLoss } from './fuseLoss.ts';
import { graphCost, trainingFlops } from './graphCost.ts';
import { lowerPrecision } from './lowerPrecision.ts';
import { optimize } from './optimize.ts';
import { recompute } from './recompute.ts';
import { storeActivations } from './storeActivations.ts';

function names(graph: Graph): string[] {
  return graph.nodes.map((node) => node.operation.name);
}

const stackValues = {
  x: floats([3, 4]).values,
  w0: floats([4, 4], { seed: 2 }).values,
  w1: floats([4, 4], { seed: 3 }).values,
};

describe('eliminateDead', () => {
  it('keeps what outputs and assignments need, and all sources', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2]);
    const state = graph.source('state', 's', [2]);
    graph.source('input', 'unread', [2]);
    scale(scale(x, 5), 6);
    graph.output('y', scale(x, 2));
    graph.assign(state, scale(x, 3));
    const { graph: live } = eliminateDead(graph);
    expect(live.nodes.map((node) => node.attributes.factor)).toEqual([2, 3]);
    expect(live.sources.map((source) => source.name)).toEqual(['x', 's', 'unread']);
  });
});

describe('lowerPrecision', () => {
  it('reads parameters as shadows and casts every other operand once, where it is computed', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [3, 4]);
    const [a, b] = [graph.source('parameter', 'a', [4, 4]), graph.source('parameter', 'b', [4, 4])];
    const hidden = graph.scope('layer', () => rmsNorm(x, undefined, { epsilon: 1e-5 }));
    graph.output(
      'y',
      graph.scope('next', () => add(matmul(hidden, a), matmul(hidden, b))),
    );
    const { graph: low } = lowerPrecision(graph);
    const casts = low.nodes.filter((node) => node.operation.name === 'cast');
    expect(casts.map((node) => node.path)).toEqual(['layer']);
    expect(low.findSource('shadow', 'a')?.dtype).toBe('bfloat16');
    for (const node of low.nodes.filter((one) => one.operation.name === 'matmul')) {
      expect(node.inputs.slice(0, 2).map((input) => input?.dtype)).toEqual(['bfloat16', 'bfloat16']);
      expect(node.outputs[0].dtype).toBe('float32');
    }
  });

  it('casts below a reshape, and takes what was BF16 before it was widened', () => {
    const graph = new Graph();
    const w = graph.source('parameter', 'w', [8, 2]);
    const given = graph.source('input', 'given', [2, 4], 'bfloat16');
    graph.output('y', matmul(cast(given, 'float32'), reshape(w, [4, 4])));
    const { graph: low } = lowerPrecision(graph);
    const product = low.nodes.at(-1);
    expect(product?.inputs[0]).toBe(low.findSource('input', 'given'));
    expect(product?.inputs[1]?.producer?.node.inputs[0]).toBe(low.findSource('shadow', 'w'));
  });

  it('casts the gradient that enters a matrix product', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [3, 4]);
    const w = graph.source('parameter', 'w', [4, 4]);
    const y = matmul(scale(matmul(x, w), 2), w);
    const { graph: both, gradients } = differentiate(graph, sum(multiply(y, y)), [w]);
    const gradient = gradients.get(w);
    if (gradient) both.output('dw', gradient);
    const { graph: low, map } = lowerPrecision(both);
    for (const node of low.nodes.filter((one) => one.operation.name === 'matmul')) {
      expect(node.inputs.slice(0, 2).map((input) => input?.dtype)).toEqual(['bfloat16', 'bfloat16']);
    }
    expect(gradient && map(gradient).dtype).toBe('float32');
    // x, the hidden state, and the gradients of both products: one cast each.
    expect(names(low).filter((name) => name === 'cast')).toHaveLength(4);
  });
});

describe('storeActivations', () => {
  it('stores what the forward pass keeps in BF16, and neither sums nor gradients nor results', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [3, 8]);
    const w = graph.source('parameter', 'w', [8, 8]);
    const gates = split(matmul(rmsNorm(x, undefined, { epsilon: 1e-5 }), w), [4, 4]);
    const hidden = glu(gates[0], reshape(gates[1], [3, 4]), { kind: 'silu' });
    const y = add(x, concat([hidden, hidden]));
    graph.output('host', scale(y, 2));
    const { graph: both, map, gradients } = differentiate(graph, sum(multiply(y, y)), [w]);
    const gradient = gradients.get(w);
    if (gradient) both.output('dw', gradient);
    const { graph: low } = eliminateDead(lowerPrecision(both).graph);
    const { graph: stored } = storeActivations(low);
    const dtypes = (direction: string): string[] =>
      stored.nodes
        .filter((node) => node.direction === direction)
        .map((node) => `${node.operation.name} ${node.outputs[0].dtype}`);
    expect(dtypes('forward')).toEqual([
      'rmsNorm bfloat16',
      'matmul bfloat16',
      'split bfloat16',
      'reshape bfloat16',
      'glu bfloat16',
      'concat bfloat16',
      'add float32',
      'scale float32',
      'multiply float32',
      'sum float32',
    ]);
    expect(map(y).dtype).toBe('float32');
    const backward = dtypes('backward').filter((name) => name.endsWith('bfloat16'));
    expect(backward).toEqual(['cast bfloat16']);
  });

  it('brings queries and keys to attention in BF16, turned or not', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [1, 3, 8]);
    const w = graph.source('parameter', 'w', [8, 8]);
    const positions = graph.source('input', 'positions', [1, 3], 'int32');
    const heads = reshape(matmul(x, w), [1, 3, 2, 4]);
    const turned = rope(heads, positions, { theta: 100 });
    const { out } = attention({ q: turned, k: turned, v: heads });
    graph.output('y', sum(out));
    const { graph: both, gradients } = differentiate(graph, sum(out), [w]);
    const gradient = gradients.get(w);
    if (gradient) both.output('dw', gradient);
    const stored = storeActivations(eliminateDead(lowerPrecision(both).graph).graph).graph;
    for (const name of ['attention', 'attentionBackward']) {
      const node = stored.nodes.find(({ operation }) => operation.name === name);
      expect(node?.inputs.slice(0, 3).map((input) => input?.dtype)).toEqual(Array(3).fill('bfloat16'));
    }
  });

  it('changes values by no more than the rounding of BF16', async () => {
    const low = eliminateDead(lowerPrecision(stack(false)).graph).graph;
    const { graph: stored } = storeActivations(low);
    const bytes = (graph: Graph): number =>
      graph.nodes.flatMap(({ outputs }) => outputs).reduce((total, output) => total + byteSize(output), 0);
    expect(bytes(stored)).toBeLessThan(bytes(low));
    const [before, after] = [await runGraph(low, stackValues), await runGraph(stored, stackValues)];
    // In float64 nothing is rounded: the same calls on the same values.
    expect(after.outputs).toEqual(before.outputs);
    const rounded = await runGraph(stored, stackValues, { precision: 'float32' });
    for (const [name, values] of Object.entries(before.outputs)) {
      const largest = Math.max(...values.map(Math.abs));
      values.forEach((value, i) => {
        expect(Math.abs(rounded.outputs[name][i] - value)).toBeLessThan(0.03 * largest);
      });
    }
  });
});

describe('optimize', () => {
  it('leaves float32 graphs in float32', () => {
    const graph = optimize(stack(false), 'float32');
    const { buffers } = compile(graph, { name: 'test', threads: 1 });
    expect(new Set(buffers.map(({ dtype }) => dtype))).toEqual(new Set(['float32']));
    const low = optimize(lowerPrecision(stack(false)).graph, 'bfloat16');
    expect(names(low).filter((name) => name === 'cast').length).toBeLessThan(
      names(lowerPrecision(stack(false)).graph).filter((name) => name === 'cast').length,
    );
  });
});

/** A head with its loss, differentiated with respect to head and hidden state. */
function lossGraph(): { graph: Graph; given: Record<string, ArrayLike<number>> } {
  const graph = new Graph();
  const x = graph.source('parameter', 'x', [4, 6]);
  const w = graph.source('parameter', 'w', [5, 6]);
  const targets = graph.source('input', 'targets', [4], 'int32');
  const weights = graph.source('input', 'weights', [4]);
  const { loss } = linearCrossEntropy({ x: scale(x, 2), w, targets, weights }, { chunk: 3 });
  const { graph: both, map, gradients } = differentiate(graph, loss, [x, w]);
  both.output('loss', map(loss));
  for (const [source, gradient] of gradients) both.output(`d${source.name}`, gradient);
  const given = {
    x: floats([4, 6]).values,
    w: floats([5, 6], { seed: 2 }).values,
    targets: [0, 3, -1, 4],
    weights: [0.25, 0.5, 0.25, 1],
  };
  return { graph: both, given };
}

describe('fuseLoss', () => {
  it('computes loss and gradients in one call, with the same values', async () => {
    const { graph, given } = lossGraph();
    const { graph: fused } = eliminateDead(fuseLoss(graph).graph);
    expect(names(fused)).toEqual(['scale', 'linearCrossEntropyWithGradient', 'scale']);
    const [plain, together] = [await runGraph(graph, given), await runGraph(fused, given)];
    for (const [name, values] of Object.entries(plain.outputs)) {
      values.forEach((value, i) => {
        expect(together.outputs[name][i]).toBeCloseTo(value, 12);
      });
    }
  });

  it('leaves a loss alone whose gradient is not the constant 1', () => {
    const graph = new Graph();
    const x = graph.source('parameter', 'x', [4, 6]);
    const targets = graph.source('input', 'targets', [4], 'int32');
    const weights = graph.source('input', 'weights', [4]);
    const { loss } = linearCrossEntropy({ x, w: x, targets, weights }, { chunk: 4 });
    const { graph: both } = differentiate(graph, scale(loss, 0.5), [x]);
    expect(names(fuseLoss(both).graph)).not.toContain('linearCrossEntropyWithGradient');
  });
});

/** Two residual layers and their gradients; `lanes` puts halves of each side by side. */
function stack(lanes: boolean): Graph {
  const graph = new Graph();
  const x = graph.source('parameter', 'x', [3, 4]);
  const weights = [0, 1].map((i) => graph.source('parameter', `w${i}`, [4, 4]));
  const branch = (index: number, h: Tensor, w: Tensor): Tensor =>
    graph.lane({ group: graph.location.path, index }, () =>
      graph.scope(`branch${index}`, () => {
        const hidden = matmul(rmsNorm(h, undefined, { epsilon: 1e-5 }), w);
        return glu(hidden, scale(hidden, 2), { kind: 'silu' });
      }),
    );
  let h = x;
  weights.forEach((w, i) => {
    h = graph.scope(`blocks.${i}`, () => {
      const first = branch(0, h, w);
      return add(h, lanes ? multiply(first, branch(1, h, w)) : first);
    });
  });
  const { graph: both, map, gradients } = differentiate(graph, sum(multiply(h, h)), [x, ...weights]);
  both.output('h', map(h));
  for (const [source, gradient] of gradients) both.output(`d${source.name}`, gradient);
  return eliminateDead(both).graph;
}

describe('recompute', () => {
  it('changes no value, forgets what lies inside a block and costs executed FLOPs only', async () => {
    for (const lanes of [false, true]) {
      const graph = stack(lanes);
      const { graph: again } = recompute(graph, ['blocks.0', 'blocks.1']);
      const options = { threads: 3, lanes };
      const plain = await runGraph(graph, stackValues, options);
      expect((await runGraph(again, stackValues, options)).outputs).toEqual(plain.outputs);
      expect(graphCost(again).model).toBe(graphCost(graph).model);
      expect(graphCost(again).executed).toBeGreaterThan(graphCost(graph).executed);
      for (const node of again.nodes.filter((one) => one.direction === 'backward')) {
        for (const input of node.inputs) {
          const producer = input?.producer?.node;
          if (producer?.direction !== 'forward') continue;
          // Only what leaves a block is kept.
          expect(['add', 'multiply', 'sum']).toContain(producer.operation.name);
          expect(producer.path).not.toContain('branch');
        }
      }
    }
  });

  it('recomputes one block and leaves the other', () => {
    const { graph } = recompute(stack(false), ['blocks.1']);
    const paths = new Set(graph.nodes.map((node) => node.path).filter((path) => path.includes('recompute')));
    expect([...paths]).toEqual(['blocks.1.branch0.recompute']);
  });

  it('names a path without calls and those that there are', () => {
    expect(() => recompute(stack(false), ['blocks.7'])).toThrow(/'blocks\.7'.*blocks\.0, blocks\.1/);
  });
});

describe('graphCost', () => {
  it('sums by path and counts model FLOPs of the forward pass', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [3, 4]);
    const w = graph.source('parameter', 'w', [4, 5]);
    const product = (path: string, times: number): Tensor =>
      graph.scope(path, () => Array.from({ length: times }, () => matmul(x, w))[0]);
    product('a', 1);
    product('a.b', 2);
    const last = product('ab', 4);
    const { graph: both } = differentiate(graph, sum(last), [w]);
    const cost = graphCost(both);
    const one = 2 * 3 * 4 * 5;
    expect(cost.model).toBe(7 * one);
    expect(trainingFlops(cost)).toBe(21 * one);
    expect(cost.under('a').model).toBe(3 * one);
    expect(cost.paths.get('a.b')?.model).toBe(2 * one);
    expect(cost.executed).toBe(9 * one);
    expect(cost.under('').executed).toBe(cost.executed);
  });
});
