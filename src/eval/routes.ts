/** What the routing of a model allows when its rows have other lengths than in training. */
import type { Block, RoutedBlock } from '../blocks/index.ts';
import { findStrategy } from '../blocks/index.ts';
import type { ModelConfig } from '../models/config.ts';
import { blocksOf } from '../models/config.ts';

/** The routed blocks, in the order in which they are built. */
export function routedBlocksOf(model: ModelConfig): readonly RoutedBlock[] {
  const within = (blocks: readonly Block[]): readonly RoutedBlock[] =>
    blocks.flatMap((block) => {
      if (block.kind === 'routed') return [block];
      if (block.kind === 'sequence') return within(block.items);
      return block.kind === 'parallel' ? within(block.branches) : [];
    });
  return within(blocksOf(model));
}

/**
 * The first routing strategy that splits a row by its length, if there is one. A model with it has no state to go on
 * from, and tokens added after a text, padding included, change what it makes of the text.
 */
export function lengthBoundStrategy(model: ModelConfig): string | undefined {
  return routedBlocksOf(model).find(({ routing }) => !findStrategy(routing.strategy).prefixStable)?.routing
    .strategy;
}
