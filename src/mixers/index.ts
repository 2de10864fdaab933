export type {
  ConformanceCase,
  LayerKind,
  LayerResult,
  LayerState,
  LayerType,
  OptionIssue,
  RegisteredLayer,
  StateKind,
  StateShape,
  StateSpec,
} from './layer.ts';
export { defineLayer } from './layer.ts';
export { findLayer, layers } from './registry.ts';
