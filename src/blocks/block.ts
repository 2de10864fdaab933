/**
 * Blocks as data: how layers are put together between two points of the residual stream. A pattern string or the typed
 * form is turned into these; `buildBlocks` turns them into a graph.
 */
import type { Fusion } from './fusion/index.ts';
import type { Routing } from './routing/index.ts';

/** A layer by name: `name` appears in paths (an alias keeps its own), `type` is found in the registry of layers. */
export interface LayerChoice {
  readonly name: string;
  readonly type: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** A mixer or channel mixer and channel mixers after it, each a pre-norm residual layer: `attention+mlp`. */
export interface TermBlock {
  readonly kind: 'term';
  readonly layers: readonly LayerChoice[];
}

/** One after the other: `(mamba1+mlp attention+mlp)`. */
export interface SequenceBlock {
  readonly kind: 'sequence';
  readonly items: readonly Block[];
}

/** Every branch sees every token: `(attention+mlp & mamba1+mlp)`; `channels` follow as pre-norm residual layers. */
export interface ParallelBlock {
  readonly kind: 'parallel';
  readonly branches: readonly Block[];
  readonly channels: readonly LayerChoice[];
  readonly fusion: Fusion;
}

/** Each token goes through one branch: `(attention+mlp | mamba1+mlp)`. */
export interface RoutedBlock {
  readonly kind: 'routed';
  readonly branches: readonly Block[];
  readonly channels: readonly LayerChoice[];
  readonly fusion: Fusion;
  readonly routing: Routing;
}

export type Block = TermBlock | SequenceBlock | ParallelBlock | RoutedBlock;
