/**
 * Zamba2 (Glorioso et al. 2024, arXiv:2411.15242): Mamba-2 layers, some of which also read one of two transformer blocks whose
 * weights they share, in turn, with adapters of their own on its MLP.
 */
import { patternText } from '../interchange/patternText.ts';
import type { Preset } from './preset.ts';
import { preset } from './preset.ts';

interface Release {
  /** Layers of Mamba-2 before the first reading layer, between two of them, and after the last. */
  readonly runs: readonly number[];
  readonly width: number;
  readonly heads: number;
  readonly mlp: number;
  readonly rank: number;
  readonly mamba2: { readonly heads: number; readonly headDim: number; readonly state: number };
  readonly vocabulary?: number;
  readonly length: number;
}

const releases: Readonly<Record<string, Release>> = {
  nano: {
    ...{ runs: [2, 1, 1], width: 128, heads: 4, mlp: 256, rank: 8, length: 256 },
    mamba2: { heads: 8, headDim: 32, state: 32 },
  },
  '10m': {
    ...{ runs: [3, 2, 2, 3], width: 256, heads: 8, mlp: 1024, rank: 32, length: 512 },
    mamba2: { heads: 16, headDim: 32, state: 64 },
  },
  '2.7b': {
    ...{ runs: [6, 5, 5, 5, 5, 5, 5, 4, 3, 2], width: 2560, heads: 32, mlp: 10_240, rank: 128, length: 4096 },
    mamba2: { heads: 80, headDim: 64, state: 64 },
    vocabulary: 32_000,
  },
};

/** Runs of Mamba-2 with a reading layer between two of them; the memories take turns. */
function layers(runs: readonly number[]): string {
  const terms = runs.flatMap((run, index) => [
    ...Array.from({ length: run }, () => 'mamba2'),
    ...(index < runs.length - 1 ? [`memory${index % 2}`] : []),
  ]);
  return patternText(terms);
}

export const zamba2Presets: readonly Preset[] = Object.entries(releases).map(([size, release]) => {
  const { runs, width, heads, mlp, rank, mamba2, vocabulary, length } = release;
  const ssm = { ...mamba2, groups: 1, normEpsilon: 1e-5 };
  const memory = {
    ...{ type: 'memory-mamba2', beside: 'embedding', adapterRank: rank },
    // Scores are divided by the root of half a head there.
    attention: { heads, headDim: (2 * width) / heads, scales: { key: Math.SQRT2 } },
    mlp: { kind: 'geglu-erf', width: mlp },
    mamba2: ssm,
  };
  return preset({
    ...{ family: 'zamba2', size, length },
    summary: 'Mamba-2 layers, some of which read a transformer block that they share',
    ...(vocabulary === undefined
      ? {}
      : { vocabulary, source: 'Glorioso et al. 2024, arXiv:2411.15242; Zyphra/Zamba2-2.7B' }),
    config: {
      ...{ width, tiedHead: true, normEpsilon: 1e-5 },
      pattern: layers(runs),
      mamba2: ssm,
      memory0: { ...memory, memory: '0' },
      memory1: { ...memory, memory: '1' },
    },
  });
});
