/** Cases of the scan of Mamba-2, the filters of Hyena and the linear recurrence: documents, states, odd sizes. */
import { floats } from '../../src/ops/testing.ts';
import type { OperationCase } from './compare.ts';
import { historiesFor } from './histories.ts';

export function recurrenceCases(): OperationCase[] {
  return [...linear()];
}

function linear(): OperationCase[] {
  const sizes = [
    [1, 3],
    [2, 16],
    [9, 17],
    [33, 70],
    [40, 130],
    [5, 64],
  ];
  return sizes.flatMap(([length, channels], size) =>
    historiesFor(size, length).flatMap(({ title, documents, state, document }): OperationCase[] => {
      const tokens = [2, length, channels];
      const a = floats(tokens, { seed: 101, low: 0 });
      const entering = state ? floats([2, channels], { seed: 102 }) : undefined;
      const rest = [documents, entering, document];
      const h = floats(tokens, { seed: 103 });
      const dh = floats(tokens, { seed: 104 });
      const dNext = floats([2, channels], { seed: 105 });
      const name = `${length} × ${channels}, ${title}`;
      const attributes = {};
      const operation = 'linearRecurrenceBackward';
      return [
        {
          operation: 'linearRecurrence',
          title: name,
          inputs: [a, h, ...rest],
          attributes: { dtype: 'float32' },
          half: [0, 1],
        },
        { operation, title: name, inputs: [a, h, ...rest, dh, dNext], attributes, half: [0, 1, 5] },
        { operation, title: `${name}, dh`, inputs: [a, h, ...rest, dh, undefined], attributes },
        { operation, title: `${name}, dState`, inputs: [a, h, ...rest, undefined, dNext], attributes },
      ];
    }),
  );
}
