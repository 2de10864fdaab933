/**
 * What others found about layouts, held against a configuration: where it goes against a finding, one knows before
 * training. Nothing here is an error. Layers are told apart by what they declare, not by name.
 */
import type { Block, Finding, LayerChoice, ParallelBlock, RoutedBlock } from '../blocks/index.ts';
import { blockLabel, findStrategy, flatten, layersOf } from '../blocks/index.ts';
import { findLayer } from '../mixers/index.ts';
import type { ModelConfig } from './config.ts';
import { blocksOf } from './config.ts';

export interface LayoutFinding extends Finding {
  /** Layer path, such as `blocks.0`. */
  readonly path: string;
}

/** A block with branches and where it stands. */
interface Placed {
  readonly path: string;
  readonly block: ParallelBlock | RoutedBlock;
}

/** The findings that a configuration goes against, in the order of its blocks. */
export function layoutFindings(config: ModelConfig): readonly LayoutFinding[] {
  const blocks = flatten(blocksOf(config));
  return [
    ...attentionFirst(blocks, config.width),
    ...branching(blocks, 'blocks').flatMap(({ path, block }) => [
      ...unnormalised(path, block),
      ...(block.kind === 'routed'
        ? findStrategy(block.routing.strategy)
            .findings(block.routing)
            .map((finding) => ({ path, ...finding }))
        : []),
    ]),
  ];
}

/** Mixers of a block; channel mixers are none, layers that can be both count as mixers. */
function mixersOf(block: Block): readonly LayerChoice[] {
  return layersOf(block).filter(({ type }) => findLayer(type).kind !== 'channel');
}

/** Whether a mixer looks back at single tokens: it keeps an entry for each, or reads those that another layer keeps. */
function looksBack({ type, options }: LayerChoice, width: number): boolean {
  const states = findLayer(type).states(options, { batch: 1, width, capacity: 1, documents: false });
  return states.length === 0 || states.some(({ kind }) => kind === 'append');
}

function attentionFirst(blocks: readonly Block[], width: number): readonly LayoutFinding[] {
  const mixing = blocks.flatMap((block, index) => {
    const mixers = mixersOf(block);
    if (mixers.length === 0) return [];
    return [{ path: `blocks.${index}`, back: mixers.map((mixer) => looksBack(mixer, width)) }];
  });
  const [first] = mixing;
  const summarising = mixing.some(({ back }) => !back.includes(true));
  if (!first?.back.includes(true) || !summarising) return [];
  const finding = first.back.includes(false)
    ? 'a block with attention stands first among blocks without: with two such blocks of 13 the loss was 2.746 at places 1 ' +
      'and 13, and 2.728 at 5 and 9.'
    : 'attention stands first among layers that summarise: with one attention block of 13 the loss was 2.771 at place 1, ' +
      'and 2.740 in the middle.';
  return [{ path: first.path, finding, source: 'Bae et al. 2025, arXiv:2510.04800, ablation of placement' }];
}

function branching(blocks: readonly Block[], path: string): readonly Placed[] {
  return blocks.flatMap((block, index) => {
    const here = `${path}.${index}`;
    if (block.kind !== 'parallel' && block.kind !== 'routed') return [];
    const inside = block.branches.flatMap((branch, branchIndex) =>
      branching(flatten([branch]), `${here}.branch${branchIndex}`),
    );
    return [{ path: here, block }, ...inside];
  });
}

function unnormalised(path: string, block: ParallelBlock | RoutedBlock): readonly LayoutFinding[] {
  if (block.kind !== 'parallel' || block.fusion.norm) return [];
  const kinds = block.branches.map((branch) => mixersOf(branch).map(({ type }) => type));
  if (new Set(kinds.map(String)).size === 1) return [];
  const finding =
    `the branches of ${blockLabel(block)} differ in kind and are fused without a norm each (fusion.norm): the scales of ` +
    'attention and Mamba-2 differed more than tenfold, and norms took the loss from 2.738 to 2.721 with one output ' +
    'projection, from 2.720 to 2.714 with one per branch.';
  return [{ path, finding, source: 'Bae et al. 2025, arXiv:2510.04800, ablation of the intra-hybrid block' }];
}
