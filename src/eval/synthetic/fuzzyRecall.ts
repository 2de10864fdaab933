/**
 * Fuzzy in-context recall of MAD (Poli et al. 2024): keys and values are of one to three tokens each, and the model must
 * find out where one ends. A key that was shown stands at the end again, and its value is asked for.
 *
 *     pad pad  k2 k5  v1  k4  v3 v2 v0  …  k2 k5  v1
 *
 * In training all next tokens but padding are targets.
 */
import { Draws } from './draws.ts';
import type { SyntheticTask } from './task.ts';
import { shifted } from './task.ts';

export interface FuzzySettings {
  readonly name: string;
  /** Tokens: keys, values, and the last one to pad with. */
  readonly vocabulary: number;
  readonly length: number;
  readonly train: number;
  readonly test: number;
  /** Most tokens of a key and of a value. */
  readonly motif: number;
  readonly seed: number;
}

export function fuzzyRecallTask(settings: FuzzySettings): SyntheticTask {
  const { name, vocabulary, length, train, test, motif, seed } = settings;
  const padding = vocabulary - 1;
  const keys = Math.floor(padding / 2);
  return {
    name,
    vocabulary,
    length,
    trainRows: train,
    testRows: test,
    places: { train: length, test: motif },
    readout: 'tokens',
    row(split, index) {
      const draws = new Draws(seed, `fuzzy.${split}.${index}`);
      const values = new Map<string, number[]>();
      const pair = (): readonly [key: number[], value: number[]] => {
        // Keys of a test are as long as they can be.
        const key = draws.different(split === 'test' ? motif : draws.between(1, motif + 1), 0, keys);
        const value =
          values.get(key.join(' ')) ?? draws.different(draws.between(1, motif + 1), keys, padding);
        values.set(key.join(' '), value);
        return [key, value];
      };
      const probe = pair().flat();
      const [, answer] = [...values][0];
      const shown: number[][] = [];
      let used = 2 * probe.length;
      for (let next = pair().flat(); used + next.length <= length + 1; next = pair().flat()) {
        shown.push(next);
        used += next.length;
      }
      shown.splice(draws.between(0, shown.length + 1), 0, probe);
      const text = [...shown.flat(), ...probe];
      const padded = length + 1 - text.length;
      const tokens = [...new Array<number>(padded).fill(padding), ...text];
      const asked = split === 'train' ? padded : length + 1 - answer.length;
      return shifted(tokens, (at) => at >= asked);
    },
  };
}
