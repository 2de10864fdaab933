/**
 * The models of Bae et al. ("Hybrid Architectures for Language Models: Systematic Analysis and Design Insights",
 * arXiv:2510.04800 v3): a transformer, one with windows, Mamba-2, and hybrids of attention and Mamba-2 in turn (`inter`) or side
 * by side in a block (`intra`), at ratios of dear to cheap layers, placed as they found best. An MLP follows every mixer.
 */
import type { LayerRatio } from '../../blocks/index.ts';
import { layersFor, spreadLayers } from '../../blocks/index.ts';
import { patternText } from '../interchange/patternText.ts';
import type { Preset, PresetConfig } from './preset.ts';
import { preset } from './preset.ts';

const source = 'Bae et al. 2025, arXiv:2510.04800, table 8 and appendices';

interface Primitive {
  readonly width: number;
  readonly mlp: number;
  readonly attention: { readonly heads: number; readonly kvHeads: number; readonly headDim: number };
  readonly mamba2: { readonly heads: number; readonly headDim: number; readonly state: number };
  /** Halves of both that stand side by side: half as many features of queries and keys, values as wide as the stream. */
  readonly half: {
    readonly attention: {
      readonly heads: number;
      readonly kvHeads: number;
      readonly headDim: number;
      readonly valueDim: number;
    };
    readonly mamba2Heads: number;
  };
  /** Blocks of each family; hybrids by the number of cheap layers for one dear one, 0 for dear layers only. */
  readonly depth: {
    readonly transformer: number;
    readonly mamba2: number;
    readonly inter: Readonly<Record<number, number>>;
    readonly intra: number;
  };
  readonly length: number;
  readonly published: boolean;
}

const size = { length: 8192, published: true };

const primitives: Readonly<Record<string, Primitive>> = {
  nano: {
    ...{ width: 128, mlp: 352, length: 256, published: false },
    attention: { heads: 4, kvHeads: 2, headDim: 32 },
    mamba2: { heads: 4, headDim: 64, state: 32 },
    half: { attention: { heads: 2, kvHeads: 1, headDim: 32, valueDim: 64 }, mamba2Heads: 2 },
    depth: { transformer: 5, mamba2: 4, inter: { 1: 4, 3: 4, 5: 4, 12: 4 }, intra: 4 },
  },
  '10m': {
    ...{ width: 256, mlp: 704, length: 512, published: false },
    attention: { heads: 8, kvHeads: 2, headDim: 32 },
    mamba2: { heads: 8, headDim: 64, state: 64 },
    half: { attention: { heads: 4, kvHeads: 1, headDim: 32, valueDim: 64 }, mamba2Heads: 4 },
    depth: { transformer: 13, mamba2: 10, inter: { 1: 11, 3: 11, 5: 10, 12: 10 }, intra: 11 },
  },
  '100m': {
    ...{ ...size, width: 1024, mlp: 3072 },
    attention: { heads: 16, kvHeads: 4, headDim: 64 },
    mamba2: { heads: 16, headDim: 128, state: 128 },
    half: { attention: { heads: 8, kvHeads: 2, headDim: 64, valueDim: 128 }, mamba2Heads: 8 },
    depth: { transformer: 8, mamba2: 6, inter: { 1: 7, 3: 6, 5: 6, 12: 6 }, intra: 6 },
  },
  '350m': {
    ...{ ...size, width: 1536, mlp: 4096 },
    attention: { heads: 24, kvHeads: 8, headDim: 64 },
    mamba2: { heads: 24, headDim: 128, state: 128 },
    // 1792 features of the halved Mamba-2: their table 15 says 1536, the cache bytes of table 20 say 1792.
    half: { attention: { heads: 16, kvHeads: 4, headDim: 56, valueDim: 96 }, mamba2Heads: 14 },
    depth: { transformer: 14, mamba2: 11, inter: { 1: 12, 3: 11, 5: 11, 12: 11 }, intra: 11 },
  },
  '1b': {
    ...{ ...size, width: 2048, mlp: 8192 },
    attention: { heads: 32, kvHeads: 8, headDim: 64 },
    mamba2: { heads: 32, headDim: 128, state: 128 },
    half: { attention: { heads: 16, kvHeads: 4, headDim: 72, valueDim: 128 }, mamba2Heads: 18 },
    depth: { transformer: 16, mamba2: 13, inter: { 1: 14, 3: 13, 5: 13, 12: 13 }, intra: 13 },
  },
  '3b': {
    ...{ ...size, width: 3072, mlp: 8192 },
    attention: { heads: 32, kvHeads: 8, headDim: 96 },
    mamba2: { heads: 32, headDim: 192, state: 256 },
    half: { attention: { heads: 16, kvHeads: 4, headDim: 96, valueDim: 192 }, mamba2Heads: 16 },
    depth: { transformer: 28, mamba2: 21, inter: { 1: 24, 3: 22, 5: 22, 12: 21 }, intra: 22 },
  },
};

const rope = {
  theta: 500_000,
  scaling: { kind: 'llama3', factor: 32, lowFactor: 1, highFactor: 4, originalLength: 8192 },
} as const;

const window = { window: 512, sinks: 64, rope: { theta: 10_000 } } as const;

/** Where dear layers stand among `depth`: at 16 blocks as published, elsewhere by the recipe. */
const windowedPlaces: readonly number[] = [4, 8, 12];

function mamba2Of({ mamba2 }: Primitive, heads: number = mamba2.heads): PresetConfig {
  // Their start of A, which they found to matter: uniform in [0.01, 2].
  return { ...mamba2, heads, decay: [0.01, 2] };
}

function inTurn(depth: number, places: readonly number[], dear: string, cheap: string): string {
  return patternText(
    Array.from({ length: depth }, (_, place) => `${places.includes(place) ? dear : cheap}+mlp`),
  );
}

function transformer(primitive: Primitive): PresetConfig {
  return {
    pattern: `attention+mlp*${primitive.depth.transformer}`,
    attention: { ...primitive.attention, rope },
  };
}

function windows(primitive: Primitive): PresetConfig {
  const depth = primitive.depth.transformer;
  const places = depth === 16 ? windowedPlaces : spreadLayers(depth, layersFor(depth, [1, 5]));
  // Small sizes have rows no longer than the window.
  const small = primitive.length < 1024 ? { window: primitive.length / 4, sinks: 8 } : {};
  return {
    pattern: inTurn(depth, places, 'attention', 'windowed'),
    attention: { ...primitive.attention, rope },
    windowed: { type: 'attention', ...primitive.attention, ...window, ...small },
  };
}

function inter(primitive: Primitive, ratio: LayerRatio): PresetConfig {
  const depth = primitive.depth.inter[ratio[1]];
  const places = spreadLayers(depth, layersFor(depth, ratio));
  return {
    pattern: inTurn(depth, places, 'attention', 'mamba2'),
    attention: { ...primitive.attention, rope },
    mamba2: mamba2Of(primitive),
  };
}

/** Norms per branch and own output projections, added: with these, adding, subtracting and concatenating are one class. */
function intra(primitive: Primitive, ratio: LayerRatio): PresetConfig {
  const depth = primitive.depth.intra;
  const places = spreadLayers(depth, layersFor(depth, ratio));
  const pattern = inTurn(depth, places, '(attention & half)', 'mamba2');
  return {
    pattern,
    attention: { ...primitive.half.attention, rope },
    ...(pattern.includes(' mamba2+') || pattern.startsWith('mamba2+') ? { mamba2: mamba2Of(primitive) } : {}),
    half: { type: 'mamba2', ...mamba2Of(primitive, primitive.half.mamba2Heads) },
    fusion: { type: 'sum', norm: true },
  };
}

const ratios = [1, 3, 5, 12].map((cheap): LayerRatio => [1, cheap]);

interface Variant {
  readonly family: string;
  readonly summary: string;
  /** Not given: all. */
  readonly sizes?: readonly string[];
  config(primitive: Primitive): PresetConfig;
}

const variants: readonly Variant[] = [
  { family: 'bae-transformer', summary: 'attention in every layer', config: transformer },
  {
    family: 'bae-mamba2',
    summary: 'Mamba-2 in every layer, an MLP after each',
    config: (primitive) => ({
      pattern: `mamba2+mlp*${primitive.depth.mamba2}`,
      mamba2: mamba2Of(primitive),
    }),
  },
  { family: 'bae-swa-1to5', summary: 'attention, five layers of six in a window', config: windows },
  ...ratios.map((ratio) => ({
    family: `bae-inter-1to${ratio[1]}`,
    summary: `attention and Mamba-2 in turn, ${ratio.join(' : ')}`,
    config: (primitive: Primitive) => inter(primitive, ratio),
  })),
  ...[[1, 0] as const, ...ratios].map((ratio) => ({
    family: `bae-intra-1to${ratio[1]}`,
    summary: `halves of attention and Mamba-2 side by side in ${ratio[1] === 0 ? 'every block' : `some blocks, ${ratio.join(' : ')}, Mamba-2 in the others`}`,
    config: (primitive: Primitive) => intra(primitive, ratio),
  })),
];

/** Families whose MLPs they replaced at 1B: one shared expert and one of eight for each token, of half the size. */
const sparseFamilies = ['bae-transformer', 'bae-mamba2', 'bae-inter-1to5', 'bae-intra-1to5'];

const sparse: readonly Variant[] = variants
  .filter(({ family }) => sparseFamilies.includes(family))
  .map(({ family, summary, config }) => ({
    family: `${family}-moe`,
    summary: `${summary}, with experts`,
    sizes: ['nano', '10m', '1b'],
    config(primitive) {
      const { pattern, ...rest } = config(primitive);
      const width = primitive.mlp / 2;
      return {
        ...rest,
        pattern: String(pattern).replaceAll('+mlp', '+moe'),
        moe: { experts: 8, chosen: 1, width, shared: width, router: 'sigmoid', balance: 1e-3 },
      };
    },
  }));

function presetsOf({ family, summary, config, sizes = Object.keys(primitives) }: Variant): readonly Preset[] {
  return sizes.map((name) => {
    const primitive = primitives[name];
    const { width, mlp, length, published } = primitive;
    const architecture = config(primitive);
    return preset({
      ...{ family, size: name, length },
      summary: `Bae et al.: ${summary}`,
      // The tokenizer of Llama 3.2, "128K".
      ...(published ? { source, vocabulary: 128_256 } : {}),
      config: {
        ...{ width, tiedHead: true, normEpsilon: 1e-5 },
        ...architecture,
        ...(String(architecture.pattern).includes('mlp') ? { mlp: { width: mlp } } : {}),
      },
    });
  });
}

export const baePresets: readonly Preset[] = [...variants, ...sparse].flatMap(presetsOf);
