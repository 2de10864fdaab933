export type { Block, LayerChoice, ParallelBlock, RoutedBlock, SequenceBlock, TermBlock } from './block.ts';
export { blockLabel, flatten, layersOf } from './block.ts';
export type { BlockSummary, BranchSummary, BuildOptions, BuiltBlocks, StateBinding } from './build.ts';
export { branchFlops, buildBlocks } from './build.ts';
export * from './fusion/index.ts';
export type { LayerRatio } from './recipe.ts';
export { layersFor, layout, spreadLayers } from './recipe.ts';
export * from './routing/index.ts';
