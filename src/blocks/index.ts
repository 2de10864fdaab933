export type { Block, LayerChoice, ParallelBlock, RoutedBlock, SequenceBlock, TermBlock } from './block.ts';
export type {
  BlockSummary,
  BranchSummary,
  BuildBlocks,
  BuildOptions,
  BuiltBlocks,
  StateBinding,
} from './build.ts';
export * from './fusion/index.ts';
export * from './routing/index.ts';
