/**
 * What every layer declares, whether it mixes along the sequence (mixer) or along the features (channel mixer). Shared
 * code reads the declaration and never asks which layer it has. Shapes: B batch, L length, D width.
 */
import type { z } from 'zod';
import type { DType, Shape, Tensor } from '../graph/index.ts';
import type { LayerContext } from '../nn/index.ts';

/**
 * `window`: the last few inputs; `recurrent`: a summary of all tokens so far; `append`: one entry per token, with the
 * capacity as axis 1. All start as zeros.
 */
export type StateKind = 'window' | 'recurrent' | 'append';

export interface StateSpec {
  readonly name: string;
  readonly kind: StateKind;
  readonly shape: Shape;
  readonly dtype: DType;
}

export interface StateShape {
  readonly batch: number;
  readonly width: number;
  /** Tokens that an append state can hold. */
  readonly capacity: number;
  /** Whether rows are packed: states then remember the document of their last token. */
  readonly documents: boolean;
}

/** State tensors by the names of their specs. */
export type LayerState = Readonly<Record<string, Tensor>>;

export interface LayerResult {
  /** [B, L, D]: what the layer adds to the residual stream. */
  readonly output: Tensor;
  /** The state after the last token; present when one was given. */
  readonly state?: LayerState;
}

/** An option whose value does not fit the width or another option. */
export interface OptionIssue {
  readonly option: string;
  readonly message: string;
}

/** Sizes at which the conformance suite runs the layer: small enough for finite differences. */
export interface ConformanceCase<Options> {
  readonly label: string;
  readonly width: number;
  readonly options: Options;
  /** Lengths around the layer's own chunk sizes, tested beside 1, 2 and 3. */
  readonly lengths: readonly number[];
}

export interface LayerType<Options> {
  readonly name: string;
  readonly kind: 'mixer' | 'channel';
  readonly summary: string;
  /** Strict: unknown keys are errors. Defaults fill what is not given. */
  readonly options: z.ZodType<Options>;
  /** What the schema cannot know: options against the width and against each other. */
  check(options: Options, width: number): readonly OptionIssue[];
  states(options: Options, shape: StateShape): readonly StateSpec[];
  needsPositions(options: Options): boolean;
  /** One builder for whole sequences, pieces and single tokens (L = 1). */
  forward(x: Tensor, options: Options, context: LayerContext, state?: LayerState): LayerResult;
  readonly conformance: readonly ConformanceCase<Options>[];
}
