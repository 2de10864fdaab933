export type { Continuation, ContinuationScorer, Likelihood, PairEncoding } from './continuation.ts';
export { encodePair } from './continuation.ts';
export type { AnswerRecord, EvaluationSettings } from './evaluate.ts';
export { evaluateTask, requireTasks, taskNames } from './evaluate.ts';
export type { FolderSettings } from './folder.ts';
export { folderLength, loadFolder } from './folder.ts';
export type { EvaluatedModel } from './model.ts';
export type { NeedleCell, NeedleOptions } from './needle.ts';
export { scoreNeedles } from './needle.ts';
export type { Perplexity, PerplexityOptions } from './perplexity.ts';
export { PerplexityMeter } from './perplexity.ts';
export { createContinuationScorer } from './prefixScorer.ts';
export type { Figure, TaskResult } from './result.ts';
export { standardError } from './result.ts';
export type { Row, RowScorerOptions } from './rows.ts';
export { RowScorer } from './rows.ts';
export type { LearnCost, Learned, LearnOptions, LearnProgress } from './synthetic/learn.ts';
export { costOf, learn } from './synthetic/learn.ts';
export type { Accuracy, LearnerOptions, PositionAccuracy } from './synthetic/learner.ts';
export { Learner } from './synthetic/learner.ts';
export type {
  PlannedRun,
  SyntheticModel,
  SyntheticPlan,
  SyntheticRequest,
  SyntheticSummary,
} from './synthetic/plan.ts';
export { costOfPlan, planSynthetic, runKey, runSynthetic, summarize } from './synthetic/plan.ts';
export { protocolScore, protocols } from './synthetic/protocol.ts';
export { syntheticKinds, syntheticTask } from './synthetic/registry.ts';
export type { Split, SyntheticRow, SyntheticTask } from './synthetic/task.ts';
export type { Answer, ChoiceOptions, Protocol } from './tasks/choice.ts';
export { answerQuestions, releasedQuestions } from './tasks/choice.ts';
export { findDocuments, readQuestions } from './tasks/documents.ts';
export { figuresOf } from './tasks/figures.ts';
export { choiceTasks, findChoiceTask } from './tasks/registry.ts';
export type { ChoiceTask, Metric, Pair, Question } from './tasks/task.ts';
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
