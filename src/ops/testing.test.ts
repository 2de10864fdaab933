import { describe, expect, it } from 'vitest';
import { defineOperation } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import { scale } from './elementwise.ts';
import { operand } from './plain.ts';
import { checkGradient, floats, integers, run } from './testing.ts';

/** y = x², with a gradient that is wrong by `error`, or missing. */
function defineSquare(name: string, gradient: 'wrong' | 'zero') {
  return defineOperation({
    name,
    infer: ([x], _, fail) => [x ?? fail('x is missing.')],
    gradient: ({ inputs: [x] }, [dy]) => [gradient === 'wrong' && x && dy ? scale(dy, 2.001) : undefined],
    cost: (inputs, outputs) => elementwiseCost(0, inputs, outputs),
    evaluate(inputs, [y]) {
      operand(inputs, 0).values.forEach((x: number, i: number) => {
        if (y) y.values[i] = x * x;
      });
    },
  });
}

describe('the gradient check', () => {
  it('notices a wrong gradient and a missing one', () => {
    for (const gradient of ['wrong', 'zero'] as const) {
      const square = defineSquare(`square ${gradient}`, gradient);
      expect(() => checkGradient((x) => x.graph.apply(square, [x], {}), [floats([3])])).toThrow(
        'Gradient of input 0, direction 0',
      );
      expect(() =>
        checkGradient((x) => x.graph.apply(square, [x], {}), [floats([70])], { tolerance: 1e-3 }),
      ).toThrow('Gradient of input 0');
    }
  });

  it('evaluates with poisoned memory and absent outputs', () => {
    const lazy = defineOperation({
      name: 'lazy',
      infer: ([x], _, fail) => (x ? [x, x] : fail('x is missing.')),
      cost: (inputs, outputs) => elementwiseCost(0, inputs, outputs),
      evaluate: (_, [first, second]) => {
        expect(second).toBeUndefined();
        expect(first?.values[0]).not.toBe(0);
      },
    });
    const [values] = run((x) => x.graph.apply(lazy, [x], {})[0], [floats([1])]);
    expect(values[0]).toBeNaN();
    expect(run((x) => x.graph.apply(lazy, [x], {})[0], [integers([1], [5])])[0][0]).toBe(-77777);
  });
});
