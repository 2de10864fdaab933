/** Mamba-2 (Dao and Gu 2024): layers of state-space duality without MLP. */
import type { Preset } from './preset.ts';
import { preset, repeated } from './preset.ts';
import type { Rival, Shapes } from './sizes.ts';
import { rivalPresets } from './sizes.ts';

const family = 'mamba2';
const summary = 'Mamba-2 layers without MLP, as published';

const shapes: Shapes = {
  plain: {
    nano: { depth: 8 },
    '10m': { depth: 22 },
    '135m': { depth: 9 },
    '350m': { depth: 34 },
    '1b': { depth: 35 },
  },
  params: { '135m': { depth: 9 }, '350m': { depth: 34 }, '1b': { depth: 35 } },
  flops: { '135m': { depth: 4 }, '350m': { depth: 15 }, '1b': { depth: 16 } },
};

/** Layers and width of the released models; the vocabulary of GPT-NeoX, 50,277, is padded to a multiple of 16. */
const released = {
  '130m': [24, 768],
  '370m': [48, 1024],
  '780m': [48, 1536],
  '1.3b': [48, 2048],
  '2.7b': [64, 2560],
} as const;

/** Of the small sizes: smaller states and heads, as there are so few features. */
const small = { state: 32, headDim: 32 };

export const mamba2: Rival = {
  family,
  summary,
  shapes,
  architecture: ({ vocabulary }, depth) => ({
    pattern: repeated(family, depth),
    mamba2: vocabulary === undefined ? small : {},
  }),
};

export const mamba2Presets: readonly Preset[] = [
  ...rivalPresets(mamba2),
  ...Object.entries(released).map(([size, [depth, width]]) =>
    preset({
      ...{ family, size, summary, length: 2048, vocabulary: 50_288 },
      source: `Dao and Gu 2024, state-spaces/mamba2-${size}`,
      config: {
        ...{ width, tiedHead: true, normEpsilon: 1e-5 },
        pattern: repeated(family, depth),
        mamba2: { state: 128, headDim: 64, groups: 1 },
      },
    }),
  ),
];
