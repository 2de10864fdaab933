/** The end of a block with branches. Shapes: B batch, L length, D width. */
import type { Tensor } from '../graph/index.ts';
import { BraidError } from '../graph/index.ts';
import type { LayerContext } from '../nn/index.ts';
import { norm, outputProjection } from '../nn/index.ts';
import type { ParallelBlock, RoutedBlock } from './block.ts';
import { hasBareBranches } from './block.ts';
import { findFusion } from './fusion/index.ts';

/** The stream after a block: fusion, and the final projection with its own norm and residual where there is one. */
export function fuse(
  residual: Tensor,
  branches: readonly Tensor[],
  block: ParallelBlock | RoutedBlock,
  context: LayerContext,
): Tensor {
  const { graph } = context;
  const type = findFusion(block.fusion.type);
  const project = block.fusion.projection === 'joint';
  if (project && !hasBareBranches(block)) {
    throw new BraidError(
      'config',
      `${graph.location.path}: fusion.projection is 'joint', but the branches are complete layers, which project their ` +
        "outputs themselves. Make the branches bare mixers, or leave 'projection' out.",
    );
  }
  if (type.adds) requireEqualWidths(branches, context);
  const stream = graph.scope('fusion', () => type.fuse(branches, residual, context, project));
  const final = block.fusion.final ?? (type.finalProjection && !hasBareBranches(block));
  if (!final) return stream;
  return graph.scope('final', () =>
    outputProjection(norm(stream, 'norm', context), { ...context, residual: stream }),
  );
}

/** Branches that are added, or merged by position, give as many features each. */
export function requireEqualWidths(branches: readonly Tensor[], { graph }: LayerContext): void {
  const widths = branches.map(({ shape }) => shape[shape.length - 1]);
  if (widths.every((width) => width === widths[0])) return;
  throw new BraidError(
    'config',
    `${graph.location.path}: with fusion.projection 'joint' the branches meet before their projection, with ` +
      `${widths.join(' and ')} features, which must be equal here. Change the inner widths of the mixers, or give each ` +
      "branch its own projection ('own').",
  );
}
