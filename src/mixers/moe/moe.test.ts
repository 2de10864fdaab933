import { describe, expect, it } from 'vitest';
import { compile, storeKey } from '../../compiler/index.ts';
import type { Adaptation } from '../../nn/index.ts';
import { adapt } from '../../nn/index.ts';
import { relativeError } from '../../ops/sequenceTesting.ts';
import { createReferenceExecutor } from '../../runtime/index.ts';
import type { Run } from '../testing.ts';
import { parameterCount, parameterSpecs, runLayer, testContext } from '../testing.ts';
import { moe } from './moe.ts';

const sizes = { width: 3, length: 6 };

/** W · x for row `row` of x and matrix `at` of stacked matrices [·, outputs, inputs]. */
function product(weights: ArrayLike<number>, at: number, outputs: number, x: readonly number[]): number[] {
  return Array.from({ length: outputs }, (_, o) =>
    x.reduce((sum, value, i) => sum + value * weights[(at * outputs + o) * x.length + i], 0),
  );
}

const silu = (x: number): number => x / (1 + Math.exp(-x));

function swiglu(run: Run, path: string, at: number, hidden: number, x: readonly number[]): number[] {
  const gate = product(run.parameter(`${path}.gate.weight`), at, hidden, x);
  const up = product(run.parameter(`${path}.up.weight`), at, hidden, x);
  const inner = gate.map((value, i) => silu(value) * up[i]);
  return product(run.parameter(`${path}.down.weight`), at, x.length, inner);
}

/** Token by token: the best k by score plus bias, each times its score. */
function define(
  run: Run,
  experts: number,
  chosen: number,
  score: (logits: number[]) => number[],
  extra: (x: readonly number[]) => number[],
  bias: ArrayLike<number>,
): number[] {
  return Array.from({ length: sizes.length }, (_, t) => {
    const x = [...run.x.subarray(t * 3, t * 3 + 3)];
    const scores = score(product(run.parameter('router.weight'), 0, experts, x));
    const best = scores.map((_, e) => e).sort((a, b) => scores[b] + bias[b] - scores[a] - bias[a]);
    const parts = best.slice(0, chosen).map((e) => swiglu(run, 'experts', e, 4, x).map((y) => scores[e] * y));
    return x.map((_, i) => parts.reduce((sum, part) => sum + part[i], extra(x)[i]));
  }).flat();
}

const softmax = (logits: number[]): number[] => {
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => Math.exp(logit) / total);
};
const sigmoid = (logits: number[]): number[] => logits.map((logit) => 1 / (1 + Math.exp(-logit)));

describe('moe', () => {
  it('is its definition with a softmax over all experts, not renormalised', () => {
    const run = runLayer(moe, { experts: 5, chosen: 2, width: 4 }, sizes);
    const expected = define(run, 5, 2, softmax, () => [0, 0, 0], [0, 0, 0, 0, 0]);
    expect(relativeError(run.y, expected)).toBeLessThan(1e-12);
  });

  it('is its definition with sigmoids, a shared expert, and a bias that moves the choice only', () => {
    const options = { experts: 4, chosen: 1, width: 4, router: 'sigmoid', shared: 2 };
    const balance = [0.5, -0.5, 0.25, 0];
    const run = runLayer(moe, options, sizes, { balance });
    const shared = (x: readonly number[]): number[] => swiglu(run, 'shared', 0, 2, x);
    const expected = define(run, 4, 1, sigmoid, shared, balance);
    expect(relativeError(run.y, expected)).toBeLessThan(1e-12);
  });

  it('has experts, a router and a shared expert', () => {
    const options = { experts: 8, chosen: 2, width: 20, shared: 10 };
    expect(parameterCount(moe, options, 12)).toBe(8 * 3 * 20 * 12 + 8 * 12 + 3 * 10 * 12);
    expect(parameterSpecs(moe, options, 12).some(({ fixed }) => fixed)).toBe(false);
  });

  it('balances while it trains, and only then', async () => {
    const options = { experts: 4, chosen: 1, width: 4, router: 'sigmoid', balance: 0.25 };
    const build = (training: boolean) => {
      const adaptations: Adaptation[] = [];
      const context = testContext({ width: 3, batch: 1, length: 6 });
      const x = context.graph.source('input', 'x', [1, 6, 3]);
      const told = training ? { ...context, adaptations } : context;
      context.graph.output('y', moe.forward(x, options, told).output);
      adapt(context.graph, adaptations);
      return context;
    };
    expect(build(false).graph.assignments.size).toBe(0);
    const { graph, parameters } = build(true);
    expect(parameters.specs.filter(({ fixed }) => fixed).map(({ name }) => name)).toEqual(['balance']);
    const executor = createReferenceExecutor();
    const store = executor.createStore();
    const program = compile(graph, { name: 'moe', threads: 1 });
    // All weights zero: scores tie, and every token goes to expert 0.
    for (const buffer of program.buffers) {
      if (buffer.role === 'parameter') store.tensor(storeKey(buffer), buffer.dtype, buffer.shape);
    }
    const loaded = executor.load(program, store);
    await loaded.run();
    const { data } = store.tensor('parameter/balance', 'float32', [4]);
    expect([...data]).toEqual([-0.25, 0.25, 0.25, 0.25]);
    loaded.dispose();
    store.dispose();
  });

  it('says when more experts are chosen than there are', () => {
    expect(moe.check({ experts: 2, chosen: 3 }, 4)).toMatchObject([{ option: 'chosen' }]);
  });
});
