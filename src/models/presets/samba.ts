/** Samba (Ren et al. 2024, arXiv:2406.07522): Mamba, MLP, attention in a window, MLP, over and over. */
import type { Preset } from './preset.ts';
import { preset, repeated } from './preset.ts';

const releases = {
  nano: { pairs: 2, width: 128, heads: 4, mlp: 352, window: 64, length: 256 },
  '10m': { pairs: 5, width: 256, heads: 8, mlp: 704, window: 128, length: 512 },
  '421m': { pairs: 6, width: 1536, heads: 12, mlp: 4096, window: 2048, length: 4096, vocabulary: 32_000 },
} as const;

export const sambaPresets: readonly Preset[] = Object.entries(releases).map(([size, release]) => {
  const { pairs, width, heads, mlp, window, length } = release;
  return preset({
    ...{ family: 'samba', size, length },
    summary: 'Mamba and attention in a window in turn, an MLP after each',
    ...('vocabulary' in release
      ? { vocabulary: release.vocabulary, source: 'Ren et al. 2024, arXiv:2406.07522' }
      : {}),
    config: {
      ...{ width, tiedHead: true, normEpsilon: 1e-5 },
      pattern: repeated('(mamba1+mlp attention+mlp)', pairs),
      attention: { heads, window, rope: { theta: 10_000 } },
      mlp: { width: mlp },
    },
  });
});
