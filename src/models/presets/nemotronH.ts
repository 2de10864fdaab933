/**
 * Nemotron-H (NVIDIA 2025, arXiv:2504.03624): one mixer or MLP per layer, about 8 % of them attention without positions, spread
 * evenly (after the sweeps of Waleffe et al. 2024, arXiv:2406.07887); Mamba-2 first, an MLP last.
 */
import { patternText } from '../interchange/patternText.ts';
import type { Preset } from './preset.ts';
import { preset } from './preset.ts';

const names: Readonly<Record<string, string>> = { M: 'mamba2', '*': 'attention', '-': 'mlp' };

const releases = {
  nano: {
    layers: 'M-M-*-M-M-',
    width: 128,
    mlp: 448,
    attention: { heads: 4, kvHeads: 2, headDim: 32 },
    mamba2: { heads: 8, headDim: 32, state: 32, groups: 2 },
    length: 256,
  },
  '10m': {
    layers: 'M-M-M-M*-M-M-M-M-M*-M-M-M-',
    width: 256,
    mlp: 832,
    attention: { heads: 8, kvHeads: 2, headDim: 32 },
    mamba2: { heads: 16, headDim: 32, state: 64, groups: 2 },
    length: 512,
  },
  '8b': {
    layers: 'M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-',
    width: 4096,
    mlp: 21_504,
    attention: { heads: 32, kvHeads: 8, headDim: 128 },
    mamba2: { heads: 128, headDim: 64, state: 128, groups: 8 },
    length: 8192,
    vocabulary: 131_072,
  },
} as const;

export const nemotronHPresets: readonly Preset[] = Object.entries(releases).map(([size, release]) => {
  const { layers, width, mlp, attention, mamba2, length } = release;
  return preset({
    ...{ family: 'nemotron-h', size, length },
    summary: 'Mamba-2 and squared-ReLU MLPs as layers of their own, a few of attention without positions',
    ...('vocabulary' in release
      ? {
          vocabulary: release.vocabulary,
          source: 'NVIDIA 2025, arXiv:2504.03624; nvidia/Nemotron-H-8B-Base-8K',
        }
      : {}),
    config: {
      ...{ width, normEpsilon: 1e-5 },
      pattern: patternText([...layers].map((letter) => names[letter])),
      attention: { ...attention, rope: false },
      mamba2,
      mlp: { kind: 'relu2', width: mlp },
    },
  });
});
