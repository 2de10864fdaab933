/**
 * Memorization of MAD (Poli et al. 2024): a fixed map from keys to values, to be learned by heart. After every key stands
 * the token that asks for its value; the values are never read.
 *
 *     k7 ?  k2 ?  k7 ?  …        said at ?: the value of the key before it
 */
import { Draws } from './draws.ts';
import type { SyntheticTask } from './task.ts';

export interface MemorizationSettings {
  readonly name: string;
  /** Tokens: keys, values, and the last one that asks. */
  readonly vocabulary: number;
  /** Even. */
  readonly length: number;
  readonly train: number;
  readonly test: number;
  readonly seed: number;
}

export function memorizationTask(settings: MemorizationSettings): SyntheticTask {
  const { name, vocabulary, length, train, test, seed } = settings;
  const count = Math.floor((vocabulary - 1) / 2);
  const values = new Draws(seed, 'memorization.map').different(count, count, 2 * count);
  const asking = vocabulary - 1;
  return {
    name,
    vocabulary,
    length,
    trainRows: train,
    testRows: test,
    places: { train: length / 2, test: length / 2 },
    readout: 'tokens',
    row(split, index) {
      const draws = new Draws(seed, `memorization.${split}.${index}`);
      const ids = new Int32Array(length).fill(asking);
      const targets = new Int32Array(length).fill(-1);
      for (let at = 0; at < length; at += 2) {
        ids[at] = draws.between(0, count);
        targets[at + 1] = values[ids[at]];
      }
      return { ids, targets };
    },
  };
}
