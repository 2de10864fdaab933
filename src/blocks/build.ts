/** Builds blocks into a graph. */
import type { DType, Shape, Tensor } from '../graph/index.ts';
import type { StateKind } from '../mixers/index.ts';
import type { LayerContext } from '../nn/index.ts';
import type { Block } from './block.ts';

/** A state tensor of a model: a persistent source that the program reads and assigns. */
export interface StateBinding {
  readonly name: string;
  readonly kind: StateKind;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** What one branch of a parallel or routed block was given. */
export interface BranchSummary {
  /** The layers of the branch, as in a pattern: `attention+mlp`. */
  readonly label: string;
  /** Layer path of the branch; the cost of its nodes in the graph is the cost of the branch. */
  readonly path: string;
  /** Positions of a row that the branch sees. */
  readonly tokens: number;
}

export interface BlockSummary {
  readonly path: string;
  readonly kind: 'parallel' | 'routed';
  readonly fusion: string;
  readonly strategy?: string;
  /** Share of the first branch. */
  readonly ratio?: number;
  readonly branches: readonly BranchSummary[];
}

export interface BuildOptions {
  /** Position in the row of the first token: routing by position needs it. */
  readonly start: number;
  /** Read and assign states as persistent sources, with room for `capacity` tokens. */
  readonly states?: { readonly capacity: number };
}

export interface BuiltBlocks {
  /** [B, L, D]: the residual stream after the last block, before the final norm. */
  readonly stream: Tensor;
  readonly states: readonly StateBinding[];
  readonly blocks: readonly BlockSummary[];
}

export type BuildBlocks = (
  x: Tensor,
  blocks: readonly Block[],
  context: LayerContext,
  options: BuildOptions,
) => BuiltBlocks;
