/**
 * StripedHyena 2 (Ku et al. 2025, arXiv:2503.01868), the architecture of Evo 2: short, medium and long convolutions in turn, every
 * few layers attention. StripedHyena 1 is, as in that paper's figures, the same with long convolutions only.
 */
import { patternText } from '../interchange/patternText.ts';
import type { Preset } from './preset.ts';
import { preset } from './preset.ts';

const source = 'Ku et al. 2025, arXiv:2503.01868; layouts of the released configurations';

interface Release {
  /** S, D and H: Hyena-SE, -MR and -LI; *: attention. */
  readonly layers: string;
  readonly width: number;
  readonly heads: number;
  readonly mlp: number;
  /** Features that share a filter of SE and MR. */
  readonly groupSize: number;
  readonly vocabulary?: number;
  readonly length: number;
}

/** The layout of 7B: attention after the first triple, then after every two. */
const seven = 'SDH*SDHSDH*SDHSDH*SDHSDH*SDHSDH*';
const byte = { vocabulary: 512, length: 8192, groupSize: 16 };

const releases: Readonly<Record<string, Release>> = {
  nano: { layers: 'SDH*SDH', width: 96, heads: 3, mlp: 256, groupSize: 16, length: 256 },
  '10m': { layers: 'SDH*SDHSDH*', width: 256, heads: 8, mlp: 704, groupSize: 16, length: 512 },
  '1b': { ...byte, layers: seven.slice(0, 25), width: 1920, heads: 15, mlp: 5120, groupSize: 15 },
  '7b': { ...byte, layers: seven, width: 4096, heads: 32, mlp: 11_008 },
  '20b': { ...byte, layers: seven.slice(0, 24), width: 8192, heads: 64, mlp: 22_528 },
  '40b': { ...byte, layers: `${seven}SDH*SDHSDH*SDHSDH*`, width: 8192, heads: 64, mlp: 21_888 },
};

const generations = [
  {
    family: 'stripedhyena2',
    names: { S: 'hyena-se', D: 'hyena-mr', H: 'hyena-li', '*': 'attention' },
    summary: 'short, medium and long convolutions in turn, every few layers attention',
  },
  {
    family: 'stripedhyena1',
    names: { S: 'hyena-li', D: 'hyena-li', H: 'hyena-li', '*': 'attention' },
    summary: 'long convolutions, every few layers attention',
  },
] as const;

export const stripedHyenaPresets: readonly Preset[] = generations.flatMap(({ family, names, summary }) =>
  Object.entries(releases).map(([size, release]) => {
    const { layers, width, heads, mlp, groupSize, vocabulary, length } = release;
    const table: Readonly<Record<string, string>> = names;
    const short = family === 'stripedhyena2';
    return preset({
      ...{ family, size, summary, length },
      ...(vocabulary === undefined ? {} : { vocabulary, source }),
      config: {
        ...{ width, tiedHead: true },
        pattern: patternText([...layers].map((letter) => `${table[letter]}+mlp`)),
        attention: { heads, rope: { theta: 10_000 }, outputBias: true },
        ...(short ? { 'hyena-se': { taps: 7, groupSize }, 'hyena-mr': { taps: 128, groupSize } } : {}),
        'hyena-li': { modes: 16 },
        mlp: { width: mlp },
      },
    });
  }),
);
