/**
 * Published and comparable configurations by name: `FAMILY-SIZE`, generated from a table of sizes and a table of
 * families. FlowHN's sizes are those of Moradi et al. (arXiv 2505.19472) as released; its rivals take the width, the MLP,
 * the heads and the vocabulary of the same size, and the depth that comes nearest in parameters outside embedding and
 * head (135m, 350m, 1b: the depths of that comparison).
 */
import { BraidError } from '../graph/index.ts';
import { nearestName } from './nearest.ts';

export interface Preset {
  /** `flowhn-fac-135m` */
  readonly name: string;
  readonly family: string;
  readonly size: string;
  readonly summary: string;
  /** Sequence length that the configuration is trained at. */
  readonly length: number;
  /** The vocabulary is that of the run's tokenizer; the one given is that of bytes. */
  readonly followsTokenizer: boolean;
  /** A model configuration as it would stand in a file. */
  readonly config: Readonly<Record<string, unknown>>;
}

interface Size {
  readonly width: number;
  readonly mlp: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly followsTokenizer: boolean;
  readonly length: number;
  /** Positions in one chunk of the strategy `chunks`. */
  readonly chunk: number;
  /** Blocks of FlowHN, layers of the others. */
  readonly depth: Readonly<Record<'flowhn' | 'llama' | 'mamba1' | 'shm', number>>;
}

/** 256 bytes and the separator of documents. */
const byteVocabulary = 257;
const small = { vocabulary: byteVocabulary, followsTokenizer: true } as const;
const published = {
  vocabulary: 65_536,
  followsTokenizer: false,
  heads: 32,
  kvHeads: 8,
  length: 1024,
  chunk: 64,
} as const;

const sizes: Readonly<Record<string, Size>> = {
  // FlowHN 0.97 million parameters outside embedding and head (0.94 with a split), LLaMA 0.92, Mamba 0.93, SHM 0.87.
  nano: {
    ...small,
    width: 128,
    mlp: 352,
    heads: 4,
    kvHeads: 2,
    length: 256,
    chunk: 16,
    depth: { flowhn: 2, llama: 5, mamba1: 8, shm: 4 },
  },
  // FlowHN 9.40 million (9.08 with a split), LLaMA 9.17, Mamba 9.20, SHM 9.26. Heads of 32 features, so that kernels
  // fill whole vectors.
  '10m': {
    ...small,
    width: 256,
    mlp: 704,
    heads: 8,
    kvHeads: 2,
    length: 512,
    chunk: 64,
    depth: { flowhn: 5, llama: 13, mamba1: 21, shm: 11 },
  },
  '135m': { ...published, width: 768, mlp: 2048, depth: { flowhn: 2, llama: 5, mamba1: 9, shm: 5 } },
  '350m': { ...published, width: 1024, mlp: 2048, depth: { flowhn: 9, llama: 25, mamba1: 34, shm: 20 } },
  '1b': { ...published, width: 2048, mlp: 8192, depth: { flowhn: 6, llama: 15, mamba1: 34, shm: 12 } },
};

interface Family {
  readonly name: string;
  readonly summary: string;
  architecture(size: Size): Readonly<Record<string, unknown>>;
}

function attention(size: Size, rope: false | { readonly theta: number }): Readonly<Record<string, unknown>> {
  return { heads: size.heads, kvHeads: size.kvHeads, rope };
}

function repeated(item: string, times: number): string {
  return times === 1 ? item : `${item}*${times}`;
}

/** Mamba and attention layers in turn, Mamba first; an odd depth ends with Mamba. */
function inTurn(depth: number): string {
  const pairs = repeated('(mamba1+mlp attention+mlp)', Math.floor(depth / 2));
  return depth % 2 === 0 ? pairs : `${pairs} mamba1+mlp`;
}

/** Jamba's normalised Mamba beside attention without positions, each branch with its own MLP. */
function flowhn(size: Size, separator: '&' | '|'): Readonly<Record<string, unknown>> {
  return {
    pattern: repeated(`(attention+mlp ${separator} mamba1+mlp)`, size.depth.flowhn),
    attention: attention(size, false),
    mamba1: { norms: true },
    mlp: { width: size.mlp },
    fusion: { type: 'concat-project' },
  };
}

function flowhnSplit(strategy: string, summary: string): Family {
  return {
    name: `flowhn-${strategy}`,
    summary: `FlowHN, ${summary}`,
    architecture: (size) => ({
      ...flowhn(size, '|'),
      routing: strategy === 'chunks' ? { strategy, chunk: size.chunk } : { strategy },
    }),
  };
}

const families: readonly Family[] = [
  {
    name: 'llama',
    summary: 'attention with rotary positions and an MLP in every layer',
    architecture: (size) => ({
      pattern: repeated('attention+mlp', size.depth.llama),
      attention: attention(size, { theta: 10_000 }),
      mlp: { width: size.mlp },
    }),
  },
  {
    name: 'mamba1',
    summary: 'Mamba layers without MLP, as published',
    architecture: (size) => ({ pattern: repeated('mamba1', size.depth.mamba1), mamba1: { norms: false } }),
  },
  {
    name: 'shm',
    summary: "sequential hybrid, FlowHN's main rival: Mamba and attention layers in turn, no positions",
    architecture: (size) => ({
      pattern: inTurn(size.depth.shm),
      attention: attention(size, false),
      mamba1: { norms: true },
      mlp: { width: size.mlp },
    }),
  },
  {
    name: 'flowhn-none',
    summary: 'FlowHN without split: every token through both branches',
    architecture: (size) => flowhn(size, '&'),
  },
  flowhnSplit('ae', 'equal halves that swap from block to block'),
  flowhnSplit('fa', 'one split balanced by cost'),
  flowhnSplit('fac', 'a split balanced by cost that circulates from block to block'),
  flowhnSplit('fa-code', 'the fixed split of the released code'),
  flowhnSplit('fac-code', 'the circulating split of the released code'),
  flowhnSplit('chunks', 'tokens routed by absolute position, so that it can generate step by step'),
];

/** All presets, by size and then by family. */
export const presets: readonly Preset[] = Object.entries(sizes).flatMap(([sizeName, size]) =>
  families.map((family): Preset => {
    const name = `${family.name}-${sizeName}`;
    return {
      name,
      family: family.name,
      size: sizeName,
      summary: family.summary,
      length: size.length,
      followsTokenizer: size.followsTokenizer,
      config: {
        name,
        width: size.width,
        vocabulary: size.vocabulary,
        tiedHead: false,
        normEpsilon: 1e-6,
        ...family.architecture(size),
      },
    };
  }),
);

/** The preset of that name. An unknown one is a `BraidError('config')` with the nearest name. */
export function findPreset(name: string): Preset {
  const found = presets.find((preset) => preset.name === name);
  if (found) return found;
  const nearest = nearestName(
    name,
    presets.map((preset) => preset.name),
  );
  throw new BraidError(
    'config',
    `There is no preset '${name}'.${nearest === undefined ? '' : ` Did you mean '${nearest}'?`} A preset is FAMILY-SIZE; ` +
      `families: ${families.map((family) => family.name).join(', ')}; sizes: ${Object.keys(sizes).join(', ')}.`,
  );
}
