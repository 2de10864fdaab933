export type {
  ConformanceCase,
  LayerResult,
  LayerState,
  LayerType,
  OptionIssue,
  StateKind,
  StateShape,
  StateSpec,
} from './layer.ts';
