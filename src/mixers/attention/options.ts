/** Options of attention, and what they come to at a width. */
import { z } from 'zod';
import type { Meaning, OptionIssue } from '../layer.ts';
import { factorsThatCount } from '../layer.ts';

const positive = z.number().positive();
const factor = z.number().default(1);

/** For sequences longer than those a model was trained on. */
const scaling = z.discriminatedUnion('kind', [
  /** All frequencies divided by `factor` (Chen et al. 2023). */
  z.strictObject({ kind: z.literal('linear'), factor: positive }),
  /** By wavelength (Llama 3). */
  z.strictObject({
    kind: z.literal('llama3'),
    factor: positive,
    lowFactor: positive,
    highFactor: positive,
    originalLength: z.int().positive(),
  }),
]);

const rope = z.strictObject({
  theta: positive.default(10_000),
  /** Share of the features of a head that are turned, the first ones. */
  share: positive.max(1).default(1),
  scaling: scaling.optional(),
});

export const attentionOptions = z.strictObject({
  heads: z.int().positive().default(8),
  /** Query heads h·G/H … share one key-value head. Not given: as many as heads. */
  kvHeads: z.int().positive().optional(),
  /** Features of a query and of a key. Not given: width / heads. */
  headDim: z.int().positive().optional(),
  /** Features of a value. Not given: as many as of a key. */
  valueDim: z.int().positive().optional(),
  /** Rotary positions (Su et al. 2021), or none: hybrids get their order from the state-space layers. */
  rope: z.union([z.literal(false), rope]).default(false),
  /** A query sees so many keys, its own included. Not given: all before it. */
  window: z.int().positive().optional(),
  /** The first so many keys of the row, which every query sees beside its window. */
  sinks: z.int().nonnegative().default(0),
  /** Biases on queries, keys and values. */
  bias: z.boolean().default(false),
  /** A bias on the output. Not given: as `bias`. */
  outputBias: z.boolean().optional(),
  /** Constant factors of the input, of the keys before their rotation, and of the output (Falcon-H1). */
  scales: z.strictObject({ input: factor, key: factor, output: factor }).optional(),
  /** The name under which later layers find the keys and values of this one. */
  offersKeys: z.string().min(1).optional(),
  /** Take the keys and values that the last layer before offered under this name; this layer then has none (Hymba). */
  keysFrom: z.string().min(1).optional(),
});

export type AttentionOptions = z.infer<typeof attentionOptions>;

export interface AttentionSizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  /** Features of a head that are turned; 0 without rotary positions. */
  readonly turned: number;
}

export function attentionSizes(given: AttentionOptions, width: number): AttentionSizes {
  const { heads, kvHeads = heads, headDim = width / heads, valueDim = headDim } = given;
  return { heads, kvHeads, headDim, valueDim, turned: given.rope ? headDim * given.rope.share : 0 };
}

/** See `LayerType.meaning`. */
export function attentionMeaning(given: AttentionOptions, width: number): Meaning {
  const { kvHeads, headDim, valueDim } = attentionSizes(given, width);
  const { bias, outputBias = bias, scales } = given;
  return { ...given, kvHeads, headDim, valueDim, outputBias, scales: factorsThatCount(scales) };
}

/** What the schema cannot know. */
export function checkAttention(given: AttentionOptions, width: number): OptionIssue[] {
  const { heads, kvHeads, headDim, turned } = attentionSizes(given, width);
  const issues: OptionIssue[] = [];
  if (!Number.isInteger(headDim)) {
    const message = `is ${heads}, which does not divide the width ${width}; choose a divisor of it, or give 'headDim'.`;
    issues.push({ option: 'heads', message });
  } else if (turned % 2 !== 0) {
    const message =
      `turns ${turned} of the ${headDim} features per head, which must be an even number. Change 'heads', ` +
      `'headDim' or 'rope.share'.`;
    issues.push({ option: 'rope', message });
  }
  if (heads % kvHeads !== 0) {
    const message = `is ${kvHeads}, which does not divide the ${heads} heads; choose a divisor of ${heads}.`;
    issues.push({ option: 'kvHeads', message });
  }
  if (given.rope && given.rope.scaling?.kind === 'llama3') {
    const { lowFactor, highFactor } = given.rope.scaling;
    if (lowFactor >= highFactor) {
      const message = `scales from lowFactor ${lowFactor} to highFactor ${highFactor}; the first must be smaller.`;
      issues.push({ option: 'rope', message });
    }
  }
  if (given.keysFrom !== undefined && given.offersKeys !== undefined) {
    const message = `is given beside 'keysFrom': a layer that takes its keys has none to offer.`;
    issues.push({ option: 'offersKeys', message });
  }
  return issues;
}
