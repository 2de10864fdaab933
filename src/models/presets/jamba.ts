/**
 * Jamba (Lieber et al. 2024): one attention layer without positions among Mamba layers with norms, and, in `jamba-moe`, a
 * mixture of experts in every second layer.
 */
import { patternText } from '../interchange/patternText.ts';
import type { Preset } from './preset.ts';
import { preset } from './preset.ts';
import type { Rival, Shapes } from './sizes.ts';
import { attentionOf, rivalPresets, sizes } from './sizes.ts';

const shapes: Shapes = {
  plain: {
    nano: { depth: 4 },
    '10m': { depth: 10 },
    '135m': { depth: 4 },
    '350m': { depth: 18 },
    '1b': { depth: 12 },
  },
  params: { '135m': { depth: 4, mlp: 2176 }, '350m': { depth: 18 }, '1b': { depth: 12, mlp: 8128 } },
  flops: { '135m': { depth: 2, mlp: 2432 }, '350m': { depth: 9, mlp: 2176 }, '1b': { depth: 6, mlp: 8592 } },
};

/**
 * One layer of eight is attention, in the middle of its period; models of fewer layers are one period. Experts stand in
 * odd layers.
 */
function layers(depth: number, experts: boolean): string {
  const period = Math.min(8, depth);
  return patternText(
    Array.from({ length: depth }, (_, layer) => {
      const mixer = layer % period === Math.floor(period / 2) ? 'attention' : 'mamba1';
      return `${mixer}+${experts && layer % 2 === 1 ? 'moe' : 'mlp'}`;
    }),
  );
}

const dense = 'one attention layer among Mamba layers with norms, an MLP after each, no positions';
const sparse = 'one attention layer among Mamba layers with norms, every second MLP a mixture of experts';

export const jamba: Rival = {
  family: 'jamba',
  summary: dense,
  shapes,
  architecture: (size, depth) => ({
    pattern: layers(depth, false),
    attention: attentionOf(size, false),
    mamba1: { norms: true },
    mlp: { width: size.mlp },
  }),
};

export const jambaPresets: readonly Preset[] = [
  ...rivalPresets(jamba),
  ...(['nano', '10m'] as const).map((name) => {
    const size = sizes[name];
    const depth = { nano: 4, '10m': 8 }[name];
    return preset({
      ...{ family: 'jamba-moe', size: name, summary: sparse, length: size.length },
      config: {
        width: size.width,
        pattern: layers(depth, true),
        attention: attentionOf(size, false),
        mamba1: { norms: true },
        mlp: { width: size.mlp },
        // Four experts of half the size, two of them for a token: as many FLOPs as the MLP.
        moe: { experts: 4, chosen: 2, width: size.mlp / 2 },
      },
    });
  }),
  preset({
    ...{ family: 'jamba-moe', size: '52b', summary: sparse, length: 4096, vocabulary: 65_536 },
    source: 'Lieber et al. 2024, ai21labs/Jamba-v0.1',
    config: {
      width: 4096,
      pattern: layers(32, true),
      attention: { heads: 32, kvHeads: 8, rope: false },
      mamba1: { norms: true, state: 16, convolution: 4, expand: 2 },
      mlp: { width: 14_336 },
      moe: { experts: 16, chosen: 2, width: 14_336 },
    },
  }),
];
