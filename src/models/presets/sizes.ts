/**
 * The sizes at which families are compared with FlowHN: `nano` and `10m` to train here, and those of Moradi et al. (arXiv
 * 2505.19472) as released. All families of a size have its width, heads and vocabulary.
 */
import type { Preset, PresetConfig } from './preset.ts';
import { preset } from './preset.ts';

export type SizeName = 'nano' | '10m' | '135m' | '350m' | '1b';

export interface Size {
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Hidden features of an MLP, unless a family's table has others. */
  readonly mlp: number;
  /** Not given: that of the run's tokenizer. */
  readonly vocabulary?: number;
  readonly length: number;
  /** Positions in one chunk of the strategy `chunks`. */
  readonly chunk: number;
}

const published = { vocabulary: 65_536, heads: 32, kvHeads: 8, length: 1024, chunk: 64 } as const;

export const sizes: Readonly<Record<SizeName, Size>> = {
  nano: { width: 128, mlp: 352, heads: 4, kvHeads: 2, length: 256, chunk: 16 },
  // Heads of 32 features, so that kernels fill whole vectors.
  '10m': { width: 256, mlp: 704, heads: 8, kvHeads: 2, length: 512, chunk: 64 },
  '135m': { ...published, width: 768, mlp: 2048 },
  '350m': { ...published, width: 1024, mlp: 2048 },
  '1b': { ...published, width: 2048, mlp: 8192 },
};

/** How a rival of FlowHN is made as large, or as dear, as FlowHN. */
export interface Shape {
  readonly depth: number;
  /** Not given: that of the size. */
  readonly mlp?: number;
}

/**
 * The sets of a family. `plain`: the MLP of the size and the depth of the published comparison, or, where it has none, the
 * depth that comes nearest in parameters outside embedding and head. `params`: depth and MLP that match `flowhn-none` in
 * these. `flops`: depth and MLP that match `flowhn-fac` in model FLOPs per token at the size's length. How near each comes is
 * in matching.test.ts.
 */
export interface Shapes {
  readonly plain: Readonly<Record<SizeName, Shape>>;
  readonly params: Readonly<Record<'135m' | '350m' | '1b', Shape>>;
  readonly flops: Readonly<Record<'135m' | '350m' | '1b', Shape>>;
}

export interface Rival {
  readonly family: string;
  readonly summary: string;
  readonly shapes: Shapes;
  /** @param depth layers of the model */
  architecture(size: Size, depth: number): PresetConfig;
}

const sets = ['plain', 'params', 'flops'] as const;

/** `FAMILY-135m`, `FAMILY-135m-params`, `FAMILY-135m-flops` and so on. */
export function rivalPresets({ family, summary, shapes, architecture }: Rival): readonly Preset[] {
  return sets.flatMap((set) =>
    Object.entries(shapes[set]).map(([name, { depth, mlp }]) => {
      const size = sizes[name as SizeName];
      const shaped = { ...size, mlp: mlp ?? size.mlp };
      return preset({
        family,
        size: set === 'plain' ? name : `${name}-${set}`,
        summary: set === 'plain' ? summary : `${summary}; ${matched[set]}`,
        ...(size.vocabulary === undefined ? {} : { vocabulary: size.vocabulary }),
        length: size.length,
        config: { width: size.width, ...architecture(shaped, depth) },
      });
    }),
  );
}

const matched = {
  params: 'as many parameters as flowhn-none outside embedding and head',
  flops: 'as many FLOPs per token as flowhn-fac',
} as const;

/** Attention of a size; `rope: false` is no positions. */
export function attentionOf(size: Size, rope: false | { readonly theta: number }): PresetConfig {
  return { heads: size.heads, kvHeads: size.kvHeads, rope };
}
