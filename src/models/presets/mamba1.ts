/** Mamba (Gu and Dao 2023): Mamba-1 layers without MLP. */
import type { Preset } from './preset.ts';
import { preset, repeated } from './preset.ts';
import type { Rival, Shapes } from './sizes.ts';
import { rivalPresets } from './sizes.ts';

const family = 'mamba1';
const summary = 'Mamba layers without MLP, as published';

const shapes: Shapes = {
  plain: {
    nano: { depth: 8 },
    '10m': { depth: 21 },
    '135m': { depth: 9 },
    '350m': { depth: 34 },
    '1b': { depth: 34 },
  },
  params: { '135m': { depth: 9 }, '350m': { depth: 34 }, '1b': { depth: 34 } },
  flops: { '135m': { depth: 4 }, '350m': { depth: 17 }, '1b': { depth: 17 } },
};

/** Layers and width of the released models; the vocabulary of GPT-NeoX, 50,277, is padded to a multiple of 8. */
const released = {
  '130m': [24, 768],
  '370m': [48, 1024],
  '790m': [48, 1536],
  '1.4b': [48, 2048],
  '2.8b': [64, 2560],
} as const;

export const mamba1: Rival = {
  family,
  summary,
  shapes,
  architecture: (_, depth) => ({ pattern: repeated(family, depth), mamba1: { norms: false } }),
};

export const mamba1Presets: readonly Preset[] = [
  ...rivalPresets(mamba1),
  ...Object.entries(released).map(([size, [depth, width]]) =>
    preset({
      ...{ family, size, summary, length: 2048, vocabulary: 50_280 },
      source: `Gu and Dao 2023, state-spaces/mamba-${size}`,
      config: {
        ...{ width, tiedHead: true, normEpsilon: 1e-5 },
        pattern: repeated(family, depth),
        mamba1: { norms: false },
      },
    }),
  ),
];
