export type { FolderSettings } from './folder.ts';
export { folderLength, loadFolder } from './folder.ts';
export type { EvaluatedModel } from './model.ts';
export type { Perplexity, PerplexityOptions } from './perplexity.ts';
export { PerplexityMeter } from './perplexity.ts';
export type { Figure, TaskResult } from './result.ts';
export { standardError } from './result.ts';
export type { Row, RowScorerOptions } from './rows.ts';
export { RowScorer } from './rows.ts';
export type {
  Document,
  PositionOptions,
  PositionScore,
  PositionScores,
  TextOptions,
  TextScore,
  WindowOptions,
} from './text.ts';
export { documentsOf, readDocuments, scorePositions, scoreText } from './text.ts';
export type { Window } from './windows.ts';
export { slidingWindows } from './windows.ts';
