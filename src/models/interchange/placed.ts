/** The blocks of a configuration with the paths of their layers, as the builder of blocks names them. */
import type { Block, LayerChoice } from '../../blocks/index.ts';
import { flatten } from '../../blocks/index.ts';
import type { ModelConfig } from '../config.ts';
import { blocksOf } from '../config.ts';
import type { PlacedBlock, PlacedLayer } from './family.ts';
import type { Json } from './fields.ts';

export function placedBlocks(config: ModelConfig): readonly PlacedBlock[] {
  return flatten(blocksOf(config)).map((block, index) => {
    const path = `blocks.${index}`;
    const settings = block.kind === 'term' ? {} : { fusion: block.fusion, ...routingOf(block) };
    return { path, form: form(block), layers: place(block, path), settings };
  });
}

function routingOf(block: Block): Json {
  return block.kind === 'routed' ? { routing: block.routing } : {};
}

/** The types of the layers of a block, as in a pattern. */
function form(block: Block): string {
  switch (block.kind) {
    case 'term':
      return block.layers.map((layer) => layer.type).join('+');
    case 'sequence':
      return block.items.map(form).join(' ');
    default: {
      const channels = block.channels.map((channel) => `+${channel.type}`).join('');
      return `(${block.branches.map(form).join(block.kind === 'parallel' ? ' & ' : ' | ')})${channels}`;
    }
  }
}

function place(block: Block, path: string): readonly PlacedLayer[] {
  switch (block.kind) {
    case 'term':
      return placeInTurn(block.layers, path);
    case 'sequence': {
      const items = flatten(block.items);
      return items.flatMap((item, index) => place(item, items.length > 1 ? `${path}.${index}` : path));
    }
    default: {
      const branches = block.branches.flatMap((branch, index) => place(branch, `${path}.branch${index}`));
      return [...branches, ...placeInTurn(block.channels, path)];
    }
  }
}

/** A layer that occurs twice in a block is numbered from the second on. */
function placeInTurn(layers: readonly LayerChoice[], path: string): readonly PlacedLayer[] {
  const used = new Map<string, number>();
  return layers.map((layer) => {
    const count = (used.get(layer.name) ?? 0) + 1;
    used.set(layer.name, count);
    return { path: `${path}.${layer.name}${count > 1 ? count : ''}`, layer };
  });
}
