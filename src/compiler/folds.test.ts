/** What calls take in of their neighbours: sums and casts. */
import { describe, expect, it } from 'vitest';
import type { Node, Tensor } from '../graph/index.ts';
import { Graph } from '../graph/index.ts';
import {
  add,
  gluBackward,
  matmul,
  multiply,
  multiplyChannels,
  rmsNorm,
  rmsNormBackward,
  scale,
  sum,
} from '../ops/index.ts';
import { floats } from '../ops/testing.ts';
import { runGraph } from '../runtime/testing.ts';
import { differentiate } from './differentiate.ts';
import { eliminateDead } from './eliminateDead.ts';
import { foldAdds } from './foldAdds.ts';
import { foldCasts } from './foldCasts.ts';
import { lowerPrecision } from './lowerPrecision.ts';

function names(graph: Graph): string[] {
  return graph.nodes.map((node) => node.operation.name);
}

const three = {
  gate: floats([3, 4]).values,
  up: floats([3, 4], { seed: 4 }).values,
  dy: floats([3, 4], { seed: 5 }).values,
};
const square = [2, 3, 6, 7].map((seed) => floats([4, 4], { seed }));

describe('foldCasts', () => {
  it('stores in BF16 what is only read as BF16', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [3, 4]);
    const w = graph.source('parameter', 'w', [4, 4]);
    const hidden = rmsNorm(x, undefined, { epsilon: 1e-5 });
    const kept = scale(x, 2);
    graph.output('y', add(matmul(hidden, w), matmul(kept, w)));
    graph.output('kept', kept);
    const { graph: folded } = foldCasts(lowerPrecision(graph).graph);
    expect(names(folded)).toEqual(['rmsNorm', 'scale', 'cast', 'matmul', 'matmul', 'add']);
    expect(folded.nodes[0].outputs[0].dtype).toBe('bfloat16');
    expect(folded.outputs.get('kept')?.dtype).toBe('float32');
  });

  it('stores one result in BF16 beside another that somebody reads in float32', async () => {
    const graph = new Graph();
    const sources = ['gate', 'up', 'dy'].map((name) => graph.source('input', name, [3, 4]));
    const { dGate, dUp } = gluBackward(sources[0], sources[1], sources[2], { kind: 'silu' });
    graph.output('low', matmul(dGate, graph.source('parameter', 'w', [4, 4])));
    graph.output('wide', dUp);
    const lowered = eliminateDead(lowerPrecision(graph).graph).graph;
    const { graph: folded } = eliminateDead(foldCasts(lowered).graph);
    expect(names(folded)).toEqual(['gluBackward', 'matmul']);
    expect(folded.nodes[0].outputs.map(({ dtype }) => dtype)).toEqual(['bfloat16', 'float32']);
    const given = { ...three, 'shadow/w': square[0].values, w: square[0].values };
    const [before, after] = [await runGraph(lowered, given), await runGraph(folded, given)];
    expect(after.outputs).toEqual(before.outputs);
  });

  it('leaves a result in BF16 that is stored so already, when another follows', () => {
    const graph = new Graph();
    const [gate, up, dy] = ['gate', 'up', 'dy'].map((name) => graph.source('input', name, [3, 4]));
    const plain = gluBackward(gate, up, dy, { kind: 'silu' }).dGate.producer?.node;
    if (!plain) throw new Error('A result has a producer.');
    const attributes = { kind: 'silu', dtype: 'bfloat16', wide: [1] };
    const [dGate, dUp] = graph.apply(plain.operation, [gate, up, dy], attributes);
    graph.output('dGate', dGate);
    graph.output('low', matmul(dUp, graph.source('parameter', 'w', [4, 4])));
    const lowered = eliminateDead(lowerPrecision(graph).graph).graph;
    const { graph: folded } = eliminateDead(foldCasts(lowered).graph);
    expect(names(folded)).toEqual(['gluBackward', 'matmul']);
    expect(folded.nodes[0].outputs.map(({ dtype }) => dtype)).toEqual(['bfloat16', 'bfloat16']);
  });

  it('takes the rounded copy of what others read in float32', async () => {
    const graph = new Graph();
    const [x, dy] = ['gate', 'dy'].map((name) => graph.source('input', name, [3, 4]));
    const { dx } = rmsNormBackward(x, undefined, dy, { epsilon: 1e-5 });
    graph.output('low', matmul(dx, graph.source('parameter', 'w', [4, 4])));
    graph.output('wide', dx);
    const lowered = eliminateDead(lowerPrecision(graph).graph).graph;
    const { graph: folded } = eliminateDead(foldCasts(lowered).graph);
    expect(names(lowered)).toEqual(['rmsNormBackward', 'cast', 'matmul']);
    expect(names(folded)).toEqual(['rmsNormBackward', 'matmul']);
    const given = { ...three, w: square[0].values };
    for (const precision of ['float64', 'float32'] as const) {
      const [before, after] = [
        await runGraph(lowered, given, { precision }),
        await runGraph(folded, given, { precision }),
      ];
      expect(after.outputs).toEqual(before.outputs);
    }
  });
});

describe('foldAdds', () => {
  it('takes sums of gradients into the products, with the same values', async () => {
    const graph = new Graph();
    const x = graph.source('parameter', 'x', [3, 4]);
    const [a, b] = [graph.source('parameter', 'a', [4, 4]), graph.source('parameter', 'b', [4, 4])];
    const y = multiply(matmul(x, a), matmul(x, b));
    const { graph: both, gradients } = differentiate(graph, sum(add(y, x)), [x]);
    const gradient = gradients.get(x);
    if (gradient) both.output('dx', gradient);
    const { graph: plain } = eliminateDead(both);
    const { graph: folded } = eliminateDead(foldAdds(plain).graph);
    // Of three contributions to x, and one sum of the forward pass that no product enters.
    expect(names(plain).filter((name) => name === 'add')).toHaveLength(3);
    expect(names(folded).filter((name) => name === 'add')).toHaveLength(1);
    const given = { x: three.gate, a: square[0].values, b: square[1].values };
    const [before, after] = [await runGraph(plain, given), await runGraph(folded, given)];
    before.outputs.dx.forEach((value, i) => {
      expect(after.outputs.dx[i]).toBeCloseTo(value, 12);
    });
  });

  it('leaves a sum alone whose products are read elsewhere, are one, or stand in another lane', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [4, 4]);
    const [read, twice] = [matmul(x, x), matmul(x, x)];
    const inLane = graph.lane({ group: 'g', index: 0 }, () => matmul(x, x));
    for (const [name, value] of Object.entries({
      a: add(read, x),
      b: add(twice, twice),
      c: add(inLane, x),
    })) {
      graph.output(name, value);
    }
    graph.output('read', read);
    expect(names(foldAdds(graph).graph).filter((name) => name === 'add')).toHaveLength(3);
  });

  it('lets the backward pass of a norm add the gradient of the residual stream, over which it is written', async () => {
    const graph = new Graph();
    const x = graph.source('input', 'gate', [3, 4]);
    const weight = graph.source('parameter', 'norm', [4]);
    const w = graph.source('parameter', 'w', [4, 4]);
    // Two layers: the gradient between them is one that a call computed and nobody needs any more.
    const layer = (h: Tensor): Tensor => add(h, matmul(rmsNorm(h, weight, { epsilon: 1e-5 }), w));
    const h = scale(x, 2);
    const y = layer(layer(h));
    const { graph: both, gradients, map } = differentiate(graph, sum(multiply(y, y)), [x, weight, w]);
    both.output('y', map(y));
    for (const [source, gradient] of gradients) both.output(`d${source.name}`, gradient);
    const { graph: plain } = eliminateDead(both);
    const { graph: folded } = eliminateDead(foldAdds(plain).graph);
    const added = (one: Graph): Node[] =>
      one.nodes.filter((node) => node.operation.name === 'rmsNormBackward' && node.inputs[3]);
    expect(added(plain)).toHaveLength(0);
    expect(added(folded)).toHaveLength(2);
    // The gradient of the norm's weight over both layers, and that of y, which is squared.
    expect(names(folded).filter((name) => name === 'add')).toHaveLength(2);
    const given = { ...three, norm: [1, 2, 3, 4], w: square[0].values };
    const [before, after] = [await runGraph(plain, given), await runGraph(folded, given)];
    for (const [name, values] of Object.entries(before.outputs)) {
      values.forEach((value, i) => {
        expect(after.outputs[name][i]).toBeCloseTo(value, 12);
      });
    }
    const inPlace = after.program.calls.filter(
      ({ operation, inputs, outputs }) => operation === 'rmsNormBackward' && inputs[3] === outputs[0],
    );
    expect(inPlace.length).toBeGreaterThan(0);
  });

  it('leaves a sum alone that would have to come before another reader of the call', () => {
    const graph = new Graph();
    const [x, dy] = ['x', 'dy'].map((name) => graph.source('input', name, [3, 4]));
    const { dx, dWeight } = rmsNormBackward(x, undefined, dy, { epsilon: 1e-5 });
    const after = multiplyChannels(x, dWeight);
    graph.output('sum', add(dx, after));
    expect(names(foldAdds(graph).graph)).toEqual(['rmsNormBackward', 'multiplyChannels', 'add']);
  });

  it('adds up the gradients of a branch in its lane, and once where branches meet', async () => {
    const graph = new Graph();
    const x = graph.source('input', 'gate', [3, 4]);
    const weights = [0, 1, 2, 3].map((i) => graph.source('parameter', `w${i}`, [4, 4]));
    const h = scale(x, 2);
    const branch = (index: number, [a, b]: readonly Tensor[]): Tensor =>
      graph.lane({ group: 'block', index }, () => multiply(matmul(h, a), matmul(h, b)));
    const y = add(branch(0, weights.slice(0, 2)), branch(1, weights.slice(2)));
    const { graph: both, gradients } = differentiate(graph, sum(y), [x]);
    const dx = gradients.get(x);
    if (dx) both.output('dx', dx);
    const { graph: plain } = eliminateDead(both);
    const { graph: folded } = eliminateDead(foldAdds(plain).graph);
    const sums = folded.nodes.filter(({ operation }) => operation.name === 'add');
    expect(sums.map(({ lane, direction }) => [direction, lane?.group])).toEqual([
      ['forward', undefined],
      ['backward', undefined],
    ]);
    const products = folded.nodes.filter(({ operation, inputs }) => operation.name === 'matmul' && inputs[3]);
    expect(products.map(({ lane }) => lane)).toEqual([
      { group: 'block.backward', index: 1 },
      { group: 'block.backward', index: 0 },
    ]);
    const given = { ...three, ...Object.fromEntries(square.map(({ values }, i) => [`w${i}`, values])) };
    const before = await runGraph(plain, given);
    const after = await runGraph(folded, given, { threads: 2, lanes: true });
    before.outputs.dx.forEach((value, i) => {
      expect(after.outputs.dx[i]).toBeCloseTo(value, 12);
    });
  });
});
