/**
 * Falcon-H1 (Zuo et al. 2025, arXiv:2507.22448): attention and Mamba-2 side by side on one norm in every layer, each with its
 * own output projection, then an MLP. The released models multiply activations by constants tuned for their training; here
 * all are 1, and an imported model brings its own.
 */
import type { Preset } from './preset.ts';
import { preset, repeated } from './preset.ts';

interface Release {
  readonly depth: number;
  readonly width: number;
  readonly mlp: number;
  readonly attention: { readonly heads: number; readonly kvHeads: number; readonly headDim: number };
  readonly mamba2: { readonly heads: number; readonly headDim: number; readonly state: number };
  readonly vocabulary?: number;
  readonly length: number;
}

const releases: Readonly<Record<string, Release>> = {
  nano: {
    ...{ depth: 5, width: 128, mlp: 256, length: 256 },
    attention: { heads: 4, kvHeads: 2, headDim: 32 },
    mamba2: { heads: 6, headDim: 32, state: 32 },
  },
  '10m': {
    ...{ depth: 14, width: 256, mlp: 512, length: 512 },
    attention: { heads: 4, kvHeads: 2, headDim: 32 },
    mamba2: { heads: 6, headDim: 64, state: 64 },
  },
  '0.5b': {
    ...{ depth: 36, width: 1024, mlp: 2048, vocabulary: 32_784, length: 4096 },
    attention: { heads: 8, kvHeads: 2, headDim: 64 },
    mamba2: { heads: 24, headDim: 64, state: 128 },
  },
  '1.5b': {
    ...{ depth: 24, width: 2048, mlp: 4608, vocabulary: 65_537, length: 4096 },
    attention: { heads: 8, kvHeads: 2, headDim: 128 },
    mamba2: { heads: 48, headDim: 64, state: 256 },
  },
  '1.5b-deep': {
    ...{ depth: 66, width: 1280, mlp: 3072, vocabulary: 65_537, length: 4096 },
    attention: { heads: 6, kvHeads: 2, headDim: 128 },
    mamba2: { heads: 24, headDim: 64, state: 256 },
  },
};

export const falconH1Presets: readonly Preset[] = Object.entries(releases).map(([size, release]) => {
  const { depth, width, mlp, attention, mamba2, vocabulary, length } = release;
  return preset({
    ...{ family: 'falcon-h1', size, length },
    summary: 'attention and Mamba-2 side by side, added, an MLP after each pair',
    ...(vocabulary === undefined
      ? {}
      : { vocabulary, source: 'Zuo et al. 2025, arXiv:2507.22448; tiiuae/Falcon-H1' }),
    config: {
      ...{ width, normEpsilon: 1e-5 },
      pattern: repeated('(attention & mamba2)+mlp', depth),
      attention: { ...attention, rope: { theta: 1e11 } },
      mamba2: { ...mamba2, groups: 1, norm: false },
      mlp: { width: mlp },
      fusion: { type: 'sum' },
    },
  });
});
