/**
 * Blocks as data: how layers are put together between two points of the residual stream. A pattern string or the typed
 * form is turned into these; `buildBlocks` turns them into a graph.
 */
import { BraidError } from '../graph/index.ts';
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

/** What the layers of a block are called, as in a pattern: `attention+mlp`. */
export function blockLabel(block: Block): string {
  switch (block.kind) {
    case 'term':
      return block.layers.map((layer) => layer.name).join('+');
    case 'sequence':
      return block.items.map(blockLabel).join(' ');
    case 'parallel':
    case 'routed': {
      const separator = block.kind === 'parallel' ? ' & ' : ' | ';
      const channels = block.channels.map((channel) => `+${channel.name}`).join('');
      return `(${block.branches.map(blockLabel).join(separator)})${channels}`;
    }
  }
}

/** All layers of a block, those of its branches included. */
export function layersOf(block: Block): readonly LayerChoice[] {
  switch (block.kind) {
    case 'term':
      return block.layers;
    case 'sequence':
      return block.items.flatMap(layersOf);
    case 'parallel':
    case 'routed':
      return [...block.branches.flatMap(layersOf), ...block.channels];
  }
}

/** The blocks with plain groups written out. */
export function flatten(blocks: readonly Block[]): readonly Exclude<Block, SequenceBlock>[] {
  return blocks.flatMap((block) => (block.kind === 'sequence' ? flatten(block.items) : [block]));
}

/**
 * Whether the branches of a block are bare mixers, which share the norm and the residual of the block, or complete
 * residual layers. A mixture of both is an error.
 */
export function hasBareBranches(block: ParallelBlock | RoutedBlock): boolean {
  const bare = block.branches.map((branch) => branch.kind === 'term' && branch.layers.length === 1);
  if (bare.every((value) => value === bare[0])) return bare[0];
  throw new BraidError(
    'pattern',
    `${blockLabel(block)}: some branches are bare mixers and some are complete layers. Add a channel mixer to every ` +
      'branch (each then has its own norm and residual) or to none (they then share one).',
  );
}
