/**
 * Griffin (De et al. 2024, arXiv:2402.19427): two recurrent layers with gated linear units, then attention of one key-value head
 * in a window, over and over, a GeGLU of three widths after each.
 */
import type { Preset } from './preset.ts';
import { preset, repeated } from './preset.ts';

interface Release {
  readonly triples: number;
  readonly width: number;
  readonly recurrent: number;
  /** Blocks of the gates: sixteen, which divide all published widths. */
  readonly blocks: number;
  readonly headDim: number;
  readonly window: number;
  readonly length: number;
  /** Not published; 32,000 gives the sizes their names. */
  readonly vocabulary?: number;
}

const published = { blocks: 16, headDim: 128, window: 1024, length: 2048, vocabulary: 32_000 };

const releases: Readonly<Record<string, Release>> = {
  nano: { triples: 2, width: 128, recurrent: 160, blocks: 4, headDim: 32, window: 64, length: 256 },
  '10m': { triples: 4, width: 256, recurrent: 384, blocks: 8, headDim: 32, window: 128, length: 512 },
  '100m': { ...published, triples: 4, width: 768, recurrent: 1024 },
  '200m': { ...published, triples: 4, width: 1024, recurrent: 1536 },
  '400m': { ...published, triples: 4, width: 1536, recurrent: 2048 },
  '1.3b': { ...published, triples: 8, width: 2048, recurrent: 2560 },
};

export const griffinPresets: readonly Preset[] = Object.entries(releases).map(([size, release]) => {
  const { triples, width, recurrent, blocks, headDim, window, length, vocabulary } = release;
  return preset({
    ...{ family: 'griffin', size, length },
    summary: 'two gated linear recurrences, then attention in a window, a GeGLU after each',
    ...(vocabulary === undefined ? {} : { vocabulary, source: 'De et al. 2024, arXiv:2402.19427' }),
    config: {
      ...{ width, tiedHead: true },
      pattern: repeated('(rg-lru+mlp*2 attention+mlp)', triples),
      'rg-lru': { width: recurrent, heads: blocks },
      attention: { heads: width / headDim, kvHeads: 1, window, rope: { theta: 10_000 } },
      mlp: { kind: 'geglu', width: 3 * width },
    },
  });
});
