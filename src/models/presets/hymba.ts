/**
 * Hymba (Dong et al. 2024, arXiv:2411.13676): attention heads and Mamba heads side by side in every layer on one norm, their
 * outputs normed, averaged and projected together; three layers see everything, the others a window, and neighbours among these
 * share keys and values. Before every row stand meta tokens (../metaTokens.ts).
 */
import type { Preset, PresetConfig } from './preset.ts';
import { preset, repeated } from './preset.ts';
import type { Rival, Shapes } from './sizes.ts';
import { rivalPresets } from './sizes.ts';

const summary =
  'attention and Mamba heads side by side, averaged after norms; windows, shared keys, meta tokens';

interface Heads {
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly mlp: number;
  readonly depth: number;
  readonly window: number;
  /** Learned tokens before every row. */
  readonly meta: number;
}

const everything = '(global & mamba1)+mlp';
const local = '(local & mamba1)+mlp';
const reuse = '(reuse & mamba1)+mlp';

/** Layers with a window between two that see everything: pairs that share keys; an odd number begins with three. */
function windowed(count: number): readonly string[] {
  if (count < 2) return Array.from({ length: count }, () => local);
  const pairs = Math.floor(count / 2) - (count % 2);
  return [
    ...(count % 2 === 1 ? [local, `${reuse}*2`] : []),
    ...(pairs > 0 ? [repeated(`(${local} ${reuse})`, pairs)] : []),
  ];
}

/** Global layers first, in the middle and last, as in the published 32 layers: 0, 15 and 31. */
function layers(depth: number): string {
  if (depth < 4) return repeated(everything, depth);
  const before = Math.floor(depth / 2) - 2;
  const after = depth - 3 - before;
  return [everything, ...windowed(before), everything, ...windowed(after), everything].join(' ');
}

function architecture({ width, heads, kvHeads, mlp, depth, window, meta }: Heads): PresetConfig {
  const inner = 2 * width;
  const attention = { heads, kvHeads, headDim: inner / heads, rope: { theta: 10_000 }, sinks: meta };
  const pattern = layers(depth);
  const near = { type: 'attention', ...attention, window };
  return {
    ...{ width, pattern, tiedHead: true, metaTokens: meta },
    global: { type: 'attention', ...attention },
    ...(pattern.includes('local') ? { local: { ...near, offersKeys: 'local' } } : {}),
    ...(pattern.includes('reuse') ? { reuse: { ...near, keysFrom: 'local' } } : {}),
    mamba1: { expand: 2, state: 16, convolution: 3, norms: true },
    mlp: { width: mlp },
    fusion: { type: 'mean', norm: true, projection: 'joint' },
  };
}

const shapes: Shapes = {
  plain: {
    nano: { depth: 4 },
    '10m': { depth: 9 },
    '135m': { depth: 3 },
    '350m': { depth: 14 },
    '1b': { depth: 10 },
  },
  params: {
    '135m': { depth: 3, mlp: 2336 },
    '350m': { depth: 14, mlp: 2176 },
    '1b': { depth: 10, mlp: 8576 },
  },
  flops: { '135m': { depth: 1, mlp: 3472 }, '350m': { depth: 6, mlp: 1824 }, '1b': { depth: 4, mlp: 9600 } },
};

/** Table of the paper; vocabulary of the released 1.5B. */
const released: Readonly<Record<string, Omit<Heads, 'window' | 'meta'>>> = {
  '125m': { depth: 24, width: 512, heads: 8, kvHeads: 4, mlp: 1664 },
  '350m': { depth: 32, width: 768, heads: 12, kvHeads: 4, mlp: 2432 },
  '1.5b': { depth: 32, width: 1600, heads: 25, kvHeads: 5, mlp: 5504 },
};

export const hymba: Rival = {
  family: 'hymba',
  summary,
  shapes,
  architecture: (size, depth) => ({
    // 128 meta tokens at 1024 and above; as large a share of shorter rows.
    ...architecture({ ...size, depth, window: size.length / 2, meta: size.length / 8 }),
    tiedHead: false,
  }),
};

export const hymbaPresets: readonly Preset[] = [
  ...rivalPresets(hymba),
  ...Object.entries(released).map(([size, heads]) =>
    preset({
      ...{ family: 'hymba-nvidia', size, summary, length: 2048, vocabulary: 32_001 },
      source: 'Dong et al. 2024, arXiv:2411.13676',
      config: architecture({ ...heads, window: 1024, meta: 128 }),
    }),
  ),
];
