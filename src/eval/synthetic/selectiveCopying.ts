/**
 * Selective copying of MAD (Poli et al. 2024): tokens among blanks, to be said again in their order.
 *
 *     _ _ t4 _ t1 _ _ _ t9  COPY  _ _ _        said at the last blanks: t4 t1 t9
 */
import { Draws } from './draws.ts';
import type { SyntheticTask } from './task.ts';

export interface CopyingSettings {
  readonly name: string;
  /** Tokens; the last but one is the blank, the last one asks for the copy. */
  readonly vocabulary: number;
  readonly length: number;
  readonly train: number;
  readonly test: number;
  /** Tokens to copy: 2 · copy + 1 ≤ length. */
  readonly copy: number;
  readonly seed: number;
}

export function selectiveCopyingTask(settings: CopyingSettings): SyntheticTask {
  const { name, vocabulary, length, train, test, copy, seed } = settings;
  const blank = vocabulary - 2;
  return {
    name,
    vocabulary,
    length,
    trainRows: train,
    testRows: test,
    places: { train: copy, test: copy },
    readout: 'tokens',
    row(split, index) {
      const draws = new Draws(seed, `copying.${split}.${index}`);
      const tokens = Array.from({ length: copy }, () => draws.between(0, blank));
      /** Blanks before each token. */
      const blanks = new Int32Array(copy);
      for (let left = length - 2 * copy - 1; left > 0; left--) blanks[draws.between(0, copy)]++;
      const shown = tokens.flatMap((token, at) => [...new Array<number>(blanks[at]).fill(blank), token]);
      const ids = new Int32Array(length).fill(blank);
      ids.set([...shown, vocabulary - 1]);
      const targets = new Int32Array(length).fill(-1);
      targets.set(tokens, length - copy);
      return { ids, targets };
    },
  };
}
