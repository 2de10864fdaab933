/** A prepared study: a question, the comparisons that are to answer it, and how a budget is divided among them. */

import type { ModelConfig } from '../../models/index.ts';
import { findPreset, parseModelConfig } from '../../models/index.ts';
import type { Section } from '../../report/page.ts';
import type { Equal, Row } from '../design.ts';
import type { ComparisonResult } from '../results.ts';

/** Sizes that train here in minutes to hours: every study has them. */
export type SmallSize = 'nano' | '10m';

export type StudySize = SmallSize | '135m' | '350m' | '1b';

export const smallSizes: readonly SmallSize[] = ['nano', '10m'];

export const studySizes: readonly StudySize[] = [...smallSizes, '135m', '350m', '1b'];

/** One comparison of a study. */
export interface Part {
  /** Folder below that of the study. */
  readonly name: string;
  readonly title: string;
  readonly rows: readonly Row[];
  readonly equal: Equal;
  /** Of the study's budget; all parts together have 1. */
  readonly share: number;
  /** Windows that the loss is measured on, in training lengths; 1 unless given. */
  readonly windows?: number;
  /** Lengths of prompts with a needle, in training lengths; none unless given. */
  readonly needles?: readonly number[];
}

export interface Study<Size extends StudySize = SmallSize> {
  readonly name: string;
  readonly summary: string;
  readonly question: string;
  /** Those that it can be asked for; the small ones unless given. */
  readonly sizes?: readonly Size[];
  parts(size: Size): readonly Part[];
  /** Further sections of the report, from the results of the parts, in their order. */
  conclude?(results: readonly ComparisonResult[]): readonly Section[];
}

type Changes = Readonly<Record<string, unknown>>;

/** A preset of the size, with values put in the place of its own. */
export function fromPreset(family: string, size: StudySize, changes: Changes = {}): ModelConfig {
  const { config } = findPreset(`${family}-${size}`);
  return parseModelConfig({ ...config, ...changes });
}

/**
 * Many thin layers, for studies in which the place of a layer matters: twelve of them, so that 1 : 1 to 1 : 12 are all
 * different.
 */
export const deepDepth = 12;

const deepSizes: Readonly<Record<SmallSize, Changes>> = {
  nano: {
    width: 96,
    mlp: { width: 256 },
    attention: { heads: 3, kvHeads: 1, headDim: 32 },
    mamba2: { heads: 6, headDim: 32, state: 32 },
  },
  '10m': {
    width: 256,
    mlp: { width: 704 },
    attention: { heads: 8, kvHeads: 2, headDim: 32 },
    mamba2: { heads: 8, headDim: 64, state: 64 },
  },
};

/** Halves of attention and Mamba-2 for blocks that hold both (Bae et al. 2025): half the queries, values as wide as the stream. */
const deepHalves: Readonly<Record<SmallSize, Changes>> = {
  nano: {
    attention: { heads: 3, kvHeads: 1, headDim: 16, valueDim: 32 },
    mamba2: { heads: 3, headDim: 32, state: 32 },
  },
  '10m': {
    attention: { heads: 8, kvHeads: 2, headDim: 16, valueDim: 32 },
    mamba2: { heads: 4, headDim: 64, state: 64 },
  },
};

const byteVocabulary = 257;

/**
 * A deep model from one item per layer. The names `attention`, `mamba2`, and for blocks of both `halfAttention` and
 * `halfMamba2`, may stand in the items.
 */
export function deepModel(size: SmallSize, items: readonly string[], changes: Changes = {}): ModelConfig {
  const pattern = items.map((item) => `${item}+mlp`).join(' ');
  const { attention, mamba2, ...rest } = deepSizes[size];
  const halves = deepHalves[size];
  // A section that no layer uses is an error.
  const sections = Object.entries({
    attention,
    mamba2,
    halfAttention: { type: 'attention', ...(halves.attention as Changes) },
    halfMamba2: { type: 'mamba2', ...(halves.mamba2 as Changes) },
  }).filter(([name]) => new RegExp(`\\b${name}\\b`).test(pattern));
  return parseModelConfig({
    vocabulary: byteVocabulary,
    pattern,
    ...rest,
    ...Object.fromEntries(sections),
    ...changes,
  });
}
