/**
 * What every layer declares, whether it mixes along the sequence (mixer) or along the features (channel mixer). Shared
 * code reads the declaration and never asks which layer it has. Shapes: B batch, L length, D width.
 */
import type { z } from 'zod';
import type { DType, Shape, Tensor } from '../graph/index.ts';
import { BraidError } from '../graph/index.ts';
import type { LayerContext } from '../nn/index.ts';

/**
 * `window`: the last few inputs; `recurrent`: a summary of all tokens so far; `append`: one entry per token, with the
 * capacity, or the number of entries that are ever read again, as axis 1. All start as zeros.
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

/** A tensor of the state that a layer was handed; its absence is a mistake of the caller. */
export function stateTensor(state: LayerState, name: string): Tensor {
  const tensor = state[name];
  if (tensor) return tensor;
  const given = Object.keys(state).join(', ') || 'none';
  throw new BraidError('graph', `The layer's state lacks '${name}'; given: ${given}.`);
}

export interface LayerResult {
  /** [B, L, D]: what the layer gives, plus `context.residual` where there is one. */
  readonly output: Tensor;
  /** The state after the last token; present when one was given. */
  readonly state?: LayerState;
}

/** An option whose value does not fit the width or another option. */
export interface OptionIssue {
  readonly option: string;
  readonly message: string;
}

/** Options by name, plain data. */
export type Meaning = Readonly<Record<string, unknown>>;

/** Constant factors as they count: as none where all are 1. */
export function factorsThatCount<F extends Readonly<Record<string, number>>>(
  scales: F | undefined,
): F | undefined {
  return Object.values(scales ?? {}).every((factor) => factor === 1) ? undefined : scales;
}

/** Sizes at which the conformance suite runs the layer: small enough for finite differences. */
export interface ConformanceCase<Options> {
  readonly label: string;
  readonly width: number;
  readonly options: Options;
  /** Lengths around the layer's own chunk sizes, tested beside 1, 2 and 3. */
  readonly lengths: readonly number[];
  /** Layers of the same type that stand before it: it takes what they hand over. */
  readonly before?: readonly Options[];
  /** With these options tokens see some of other documents, so that packed documents differ from the same ones alone. */
  readonly crossesDocuments?: boolean;
}

/** What stands where in a pattern: a mixer begins a layer, a channel mixer may follow `+`; some layers do both. */
export type LayerKind = 'mixer' | 'channel' | 'both';

export interface LayerType<Options> {
  readonly name: string;
  readonly kind: LayerKind;
  readonly summary: string;
  /** Strict: unknown keys are errors. Defaults fill what is not given. */
  readonly options: z.ZodType<Options>;
  /**
   * The layer gets the residual stream itself and norms where it needs to. Not given: it gets the normed stream. As a bare
   * branch it gets what the block's norm gives in either case.
   */
  readonly ownNorm?: boolean;
  /** What the schema cannot know: options against the width and against each other. */
  check(options: Options, width: number): readonly OptionIssue[];
  states(options: Options, shape: StateShape): readonly StateSpec[];
  /**
   * The options that decide what the layer computes, none of them left to the width: layers whose meanings are equal give
   * the same for the same weights. Where weights begin and how the work is cut do not count. Not given: all options.
   */
  meaning?(options: Options, width: number): Meaning;
  needsPositions(options: Options): boolean;
  /** One builder for whole sequences, pieces and single tokens (L = 1). */
  forward(x: Tensor, options: Options, context: LayerContext, state?: LayerState): LayerResult;
  readonly conformance: readonly ConformanceCase<Options>[];
}

/** A layer whose options are known only by its own schema: what the registry holds. */
export interface RegisteredLayer {
  readonly name: string;
  readonly kind: LayerKind;
  readonly summary: string;
  readonly options: z.ZodType;
  readonly ownNorm: boolean;
  check(options: unknown, width: number): readonly OptionIssue[];
  states(options: unknown, shape: StateShape): readonly StateSpec[];
  meaning(options: unknown, width: number): Meaning;
  needsPositions(options: unknown): boolean;
  forward(x: Tensor, options: unknown, context: LayerContext, state?: LayerState): LayerResult;
  readonly conformance: readonly ConformanceCase<unknown>[];
}

/** Closes a declaration over its schema, so that every entry point takes unchecked options and fills the defaults. */
export function defineLayer<Options>(type: LayerType<Options>): RegisteredLayer {
  const parse = (options: unknown): Options => type.options.parse(options);
  return {
    name: type.name,
    kind: type.kind,
    summary: type.summary,
    options: type.options,
    ownNorm: type.ownNorm ?? false,
    check: (options, width) => type.check(parse(options), width),
    states: (options, shape) => type.states(parse(options), shape),
    meaning(options, width) {
      const given = parse(options);
      return type.meaning?.(given, width) ?? Object.fromEntries(Object.entries(given ?? {}));
    },
    needsPositions: (options) => type.needsPositions(parse(options)),
    forward: (x, options, context, state) => type.forward(x, parse(options), context, state),
    conformance: type.conformance,
  };
}
