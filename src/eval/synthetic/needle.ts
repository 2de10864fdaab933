/**
 * A needle in a haystack, from tokens: a mark and a value among random tokens; at the end the mark stands again and the
 * value is asked for. Trained at one length and tested at several, at ten depths each.
 *
 *     r r r  MARK v4  r r r r r r  MARK        said at the last MARK: v4
 */
import { Draws } from './draws.ts';
import type { SyntheticTask } from './task.ts';

export interface NeedleSettings {
  readonly name: string;
  /** Tokens: half of them hay, half values; the last one is the mark. */
  readonly vocabulary: number;
  readonly length: number;
  readonly train: number;
  readonly test: number;
  readonly seed: number;
}

const depths = 10;

export function needleTask(settings: NeedleSettings): SyntheticTask {
  const { name, vocabulary, length, train, test, seed } = settings;
  const mark = vocabulary - 1;
  const half = Math.floor(mark / 2);
  return {
    name,
    vocabulary,
    length,
    trainRows: train,
    testRows: test,
    places: { train: 1, test: 1 },
    readout: 'tokens',
    row(split, index) {
      const draws = new Draws(seed, `needle.${length}.${split}.${index}`);
      const ids = Int32Array.from({ length }, () => draws.between(0, half));
      const places = length - 2;
      // Tests go through the depths in turn.
      const part = split === 'test' ? index % depths : draws.between(0, depths);
      const low = Math.floor((part * places) / depths);
      const high = Math.max(low + 1, Math.floor(((part + 1) * places) / depths));
      const at = draws.between(low, high);
      const value = draws.between(half, mark);
      ids[at] = mark;
      ids[at + 1] = value;
      ids[length - 1] = mark;
      const targets = new Int32Array(length).fill(-1);
      targets[length - 1] = value;
      return { ids, targets, group: `depth ${part * 10} to ${(part + 1) * 10} %` };
    },
  };
}
