/**
 * Compression of MAD (Poli et al. 2024): random tokens and one that ends them. All of them must be said again from what
 * the model made of the last one alone.
 */
import { Draws } from './draws.ts';
import type { SyntheticTask } from './task.ts';

export interface CompressionSettings {
  readonly name: string;
  /** Tokens; the last one ends a row. */
  readonly vocabulary: number;
  readonly length: number;
  readonly train: number;
  readonly test: number;
  readonly seed: number;
}

export function compressionTask(settings: CompressionSettings): SyntheticTask {
  const { name, vocabulary, length, train, test, seed } = settings;
  return {
    name,
    vocabulary,
    length,
    trainRows: train,
    testRows: test,
    places: { train: length, test: length },
    readout: 'autoencoder',
    row(split, index) {
      const draws = new Draws(seed, `compression.${split}.${index}`);
      const ids = Int32Array.from({ length }, () => draws.between(0, vocabulary - 1));
      ids[length - 1] = vocabulary - 1;
      return { ids, targets: ids };
    },
  };
}
