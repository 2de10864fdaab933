/**
 * Multi-query associative recall (Arora et al. 2023, "Zoology", section 4 and its released generator): first all keys with
 * their values, each key once, then each key again somewhere; most of them soon. There the value is asked for.
 *
 *     k5 v2  k9 v7  k1 v3 | r r  k9 r  r r  k5 r  …        r: random; said at k9: v7
 */
import { Draws } from './draws.ts';
import type { SyntheticTask } from './task.ts';

export interface MqarSettings {
  readonly name: string;
  /** Half of the tokens are keys (token 0 is none), half are values. */
  readonly vocabulary: number;
  /** 4 · pairs ≤ length, and even. */
  readonly length: number;
  readonly pairs: number;
  readonly train: number;
  readonly test: number;
  /** a: a key comes again after g slots with a probability proportional to g^(a − 1). */
  readonly power: number;
  /** Whether places without a query hold random tokens; otherwise token 0. */
  readonly filled: boolean;
  readonly seed: number;
}

export function mqarTask(settings: MqarSettings): SyntheticTask {
  const { name, vocabulary, length, pairs, train, test, power, filled, seed } = settings;
  const half = vocabulary / 2;
  const slots = (length - 2 * pairs) / 2;
  const weights = Array.from({ length: slots }, (_, gap) => (gap + 1) ** (power - 1));
  return {
    name,
    vocabulary,
    length,
    trainRows: train,
    testRows: test,
    places: { train: pairs, test: pairs },
    readout: 'tokens',
    row(split, index) {
      const draws = new Draws(seed, `mqar.${split}.${index}`);
      const keys = draws.different(pairs, 1, half);
      const values = draws.different(pairs, half, vocabulary);
      const ids = new Int32Array(length);
      const targets = new Int32Array(length).fill(-1);
      const gaps = draws.weighted(pairs, weights);
      keys.forEach((key, pair) => {
        ids.set([key, values[pair]], 2 * pair);
        const at = 2 * pairs + 2 * gaps[pair];
        ids[at] = key;
        targets[at] = values[pair];
      });
      if (filled) {
        for (let at = 2 * pairs; at < length; at++) if (ids[at] === 0) ids[at] = draws.between(0, vocabulary);
      }
      return { ids, targets };
    },
  };
}
