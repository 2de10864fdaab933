import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import {
  linearCrossEntropy,
  linearCrossEntropyBackward,
  linearCrossEntropyWithGradient,
} from './crossEntropy.ts';
import { fill } from './tensor.ts';
import { checkGradient, floats, givenFloats, integers, run } from './testing.ts';

const inputs = [
  floats([2, 3, 4]),
  floats([5, 4], { seed: 2 }),
  integers([2, 3], [0, 4, -1, 2, 2, 1]),
  floats([2, 3], { seed: 3, low: 0 }),
];

describe('linearCrossEntropy', () => {
  it('is the weighted negative log-likelihood', () => {
    const [loss, tokenLoss, logsumexp] = run(
      (x, w, targets, weights) => Object.values(linearCrossEntropy({ x, w, targets, weights }, { chunk: 4 })),
      inputs,
    );
    const [x, w, targets, weights] = inputs.map(({ values }) => Array.from(values));
    let expected = 0;
    for (let token = 0; token < 6; token++) {
      const logits = [0, 1, 2, 3, 4].map((v) =>
        [0, 1, 2, 3].reduce((sum, i) => sum + x[token * 4 + i] * w[v * 4 + i], 0),
      );
      const norm = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
      expect(logsumexp[token]).toBeCloseTo(norm, 12);
      const entropy = targets[token] < 0 ? 0 : norm - logits[targets[token]];
      expect(tokenLoss[token]).toBeCloseTo(entropy, 12);
      expected += weights[token] * entropy;
    }
    expect(loss[0]).toBeCloseTo(expected, 12);
  });

  it('has gradients of x, w and weights', () => {
    const loss: Parameters<typeof checkGradient>[0] = (x, w, targets, weights) =>
      linearCrossEntropy({ x, w, targets, weights }, { chunk: 4 }).loss;
    checkGradient(loss, inputs);
    checkGradient(loss, [floats([1, 1]), floats([1, 1]), integers([1], [0]), floats([1])]);
    checkGradient(loss, [floats([3, 2]), floats([63, 2]), integers([3], [62, -1, 0]), floats([3])]);
  });

  it('caps logits, smoothly, and bounds them', () => {
    const cap = 0.7;
    const [tokenLoss] = run(
      (x, w, targets, weights) => linearCrossEntropy({ x, w, targets, weights }, { chunk: 4, cap }).tokenLoss,
      inputs,
    );
    const [x, w, targets] = inputs.map(({ values }) => Array.from(values));
    for (let token = 0; token < 6; token++) {
      const logits = [0, 1, 2, 3, 4].map((v) => {
        const logit = [0, 1, 2, 3].reduce((sum, i) => sum + x[token * 4 + i] * w[v * 4 + i], 0);
        return cap * Math.tanh(logit / cap);
      });
      const norm = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
      expect(tokenLoss[token]).toBeCloseTo(targets[token] < 0 ? 0 : norm - logits[targets[token]], 12);
    }
    checkGradient(
      (x, w, targets, weights) => linearCrossEntropy({ x, w, targets, weights }, { chunk: 4, cap }).loss,
      inputs,
    );
  });

  it.each([{}, { cap: 0.7 }])('gives the same forward and backward at once: %o', (options) => {
    const apart = run((x, w, targets, weights) => {
      const { loss, tokenLoss, logsumexp } = linearCrossEntropy(
        { x, w, targets, weights },
        { chunk: 4, ...options },
      );
      const dLoss = fill(loss, [1], 1);
      const given = { x, w, targets, weights, logsumexp, dLoss };
      return [loss, tokenLoss, ...Object.values(linearCrossEntropyBackward(given, { chunk: 4, ...options }))];
    }, inputs);
    const together = run(
      (x, w, targets, weights) =>
        Object.values(linearCrossEntropyWithGradient({ x, w, targets, weights }, { chunk: 4, ...options })),
      inputs,
    );
    apart.forEach((values, i) => {
      values.forEach((value: number, at: number) => {
        expect(together[i][at]).toBeCloseTo(value, 13);
      });
    });
  });

  it('stays finite for large logits', () => {
    const [loss] = run(
      (x, w, targets, weights) => linearCrossEntropy({ x, w, targets, weights }, { chunk: 1 }).loss,
      [givenFloats([1, 1], [1000]), givenFloats([2, 1], [1, -1]), integers([1], [1]), givenFloats([1], [1])],
    );
    expect(loss[0]).toBe(2000);
  });

  it('refuses targets outside the vocabulary when it runs', () => {
    const bad = [inputs[0], inputs[1], integers([2, 3], [0, 0, 5, 0, 0, 0]), inputs[3]];
    expect(() =>
      run((x, w, targets, weights) => linearCrossEntropy({ x, w, targets, weights }, { chunk: 4 }).loss, bad),
    ).toThrow('target 5 of token 2 is outside [-1, 5)');
  });

  it('has no gradient through tokenLoss and says so', () => {
    expect(() =>
      checkGradient(
        (x, w, targets, weights) => linearCrossEntropy({ x, w, targets, weights }, { chunk: 4 }).tokenLoss,
        inputs,
      ),
    ).toThrow('has a gradient for its first output (loss) only');
  });

  it('counts one product forward, and asks for one chunk of logits', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 3, 4], 'bfloat16');
    const w = graph.source('shadow', 'w', [5, 4], 'bfloat16');
    const targets = graph.source('input', 'targets', [2, 3], 'int32');
    const weights = graph.source('input', 'weights', [2, 3]);
    const cost = (chunk: number) => {
      const node = linearCrossEntropyWithGradient({ x, w, targets, weights }, { chunk }).loss.producer?.node;
      if (!node) throw new Error('no node');
      const { model, executed } = node.operation.cost(node.inputs, node.outputs, node.attributes);
      return {
        model,
        executed,
        bytes: node.operation.workspace?.(node.inputs, node.outputs, node.attributes, 2),
      };
    };
    const product = 2 * 6 * 5 * 4;
    expect(cost(4)).toEqual({ model: product, executed: 3 * product, bytes: 4 * 32 * 4 });
    expect(cost(100).bytes).toBe(6 * 32 * 4);
  });

  it('refuses shapes that do not fit', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 3, 4]);
    const w = graph.source('parameter', 'w', [5, 3]);
    const targets = graph.source('input', 'targets', [2, 3], 'int32');
    const weights = graph.source('input', 'weights', [2, 3]);
    const given = { x, w, targets, weights };
    expect(() => graph.scope('head', () => linearCrossEntropy(given, { chunk: 4 }))).toThrow(
      "linearCrossEntropy in head: 'w' must have shape [5, 4], but is float32[5, 3].",
    );
    const fitting = { ...given, w: graph.source('parameter', 'fitting', [5, 4]) };
    expect(() => linearCrossEntropy(fitting, { chunk: 0 })).toThrow('attribute chunk is 0');
    expect(() => linearCrossEntropy({ ...fitting, weights: x }, { chunk: 1 })).toThrow(
      "'weights' must have shape [2, 3]",
    );
  });
});
