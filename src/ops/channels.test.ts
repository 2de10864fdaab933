import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { addChannels, channelDot, channelSum, multiplyChannels } from './channels.ts';
import { dot, multiplyScalar, sum } from './reduce.ts';
import { checkGradient, floats, givenFloats, run } from './testing.ts';

describe('operations per channel', () => {
  it('computes', () => {
    const x = givenFloats([2, 3], [1, 2, 3, 4, 5, 6]);
    const w = givenFloats([3], [1, 0, -1]);
    const results = run(
      (t, c) => [multiplyChannels(t, c), addChannels(t, c), channelDot(t, t), channelSum(t)],
      [x, w],
    );
    expect(results.map((values) => [...values].map((value) => value + 0))).toEqual([
      [1, 0, -3, 4, 0, -6],
      [2, 2, 2, 5, 5, 5],
      [17, 29, 45],
      [5, 7, 9],
    ]);
  });

  it.each([
    [1, 1],
    [3, 1],
    [1, 3],
    [3, 63],
  ])('has gradients at %i × %i', (rows, width) => {
    const x = floats([rows, 1, width]);
    const y = floats([rows, 1, width], { seed: 2 });
    const w = floats([width], { seed: 3 });
    checkGradient((t, c) => multiplyChannels(t, c), [x, w]);
    checkGradient((t, c) => addChannels(t, c), [x, w]);
    checkGradient((s, t) => channelDot(s, t), [x, y]);
    checkGradient((t) => channelSum(t), [x]);
  });

  it('refuses a vector of another width', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 3]);
    const w = graph.source('input', 'w', [2]);
    expect(() => graph.scope('norm', () => multiplyChannels(x, w))).toThrow(
      "multiplyChannels in norm: 'w' must have shape [3], but is float32[2].",
    );
  });
});

describe('reductions to one number', () => {
  it('computes', () => {
    const x = givenFloats([2, 2], [1, 2, 3, -4]);
    const s = givenFloats([1], [0.5]);
    const results = run((t, f) => [sum(t), dot(t, t), multiplyScalar(t, f)], [x, s]);
    expect(results.map((values) => [...values])).toEqual([[2], [30], [0.5, 1, 1.5, -2]]);
  });

  it.each([1, 3, 63])('has gradients at size %i', (size) => {
    const x = floats([size, 2]);
    checkGradient((t) => sum(t), [x]);
    checkGradient((a, b) => dot(a, b), [x, floats([size, 2], { seed: 4 })]);
    checkGradient((t, s) => multiplyScalar(t, s), [x, floats([1])]);
  });

  it('refuses a factor that is not one number', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2]);
    expect(() => multiplyScalar(x, x)).toThrow("multiplyScalar: 's' must have shape [1], but is float32[2].");
  });
});
