/**
 * In-context recall and noisy in-context recall of MAD (Poli et al. 2024, "Mechanistic design and scaling of hybrid
 * architectures"): keys and values in turn, and a key that was shown asks for its value again.
 *
 *     k3 v1  k7 v4  n2 n5  k3 v1  …  k7 v4       n: noise; asked for in a test: the values of keys that were seen before
 *
 * In training all next tokens are targets.
 */
import { Draws } from './draws.ts';
import type { Split, SyntheticTask } from './task.ts';
import { shifted } from './task.ts';

export interface RecallSettings {
  readonly name: string;
  /** Tokens: keys, values and noise. */
  readonly vocabulary: number;
  /** Tokens of a sequence, of which the model reads all but the last. Even. */
  readonly length: number;
  readonly train: number;
  readonly test: number;
  readonly noiseTokens: number;
  /** Share of the slots that hold noise. */
  readonly noise: number;
  readonly seed: number;
}

export function recallTask(settings: RecallSettings): SyntheticTask {
  const { name, vocabulary, length, train, test } = settings;
  return {
    name,
    vocabulary,
    length: length - 1,
    trainRows: train,
    testRows: test,
    places: { train: length - 1, test: length / 2 },
    readout: 'tokens',
    row(split, index) {
      const { tokens, known } = sequence(settings, split, index);
      return shifted(tokens, (at) => split === 'train' || known.has(at));
    },
  };
}

function sequence(settings: RecallSettings, split: Split, index: number) {
  const { vocabulary, length, noiseTokens, noise, seed } = settings;
  const draws = new Draws(seed, `recall.${split}.${index}`);
  const content = vocabulary - noiseTokens;
  const keys = Math.floor(content / 2);
  const values = new Map<number, number>();
  const tokens: number[] = [];
  /** Where the values of keys that were seen before stand. */
  const known = new Set<number>();
  const show = (key: number): void => {
    if (values.has(key)) known.add(tokens.length + 1);
    const value = values.get(key) ?? draws.between(keys, content);
    values.set(key, value);
    tokens.push(key, value);
  };
  const slots = length / 2 - 1;
  // One slot is never noise, so that there is something to ask for.
  const kept = draws.between(0, slots);
  for (let slot = 0; slot < slots; slot++) {
    if (noise > 0 && slot !== kept && draws.uniform() < noise) {
      tokens.push(draws.between(content, vocabulary), draws.between(content, vocabulary));
    } else show(draws.between(0, keys));
  }
  show(draws.pick([...values.keys()]));
  return { tokens, known };
}
