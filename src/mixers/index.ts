export { carriedDocument, documentStates } from './carriedDocument.ts';
export type {
  ConformanceCase,
  LayerKind,
  LayerResult,
  LayerState,
  LayerType,
  Meaning,
  OptionIssue,
  RegisteredLayer,
  StateKind,
  StateShape,
  StateSpec,
} from './layer.ts';
export { defineLayer, stateTensor } from './layer.ts';
export { findLayer, layers, registerLayer } from './registry.ts';
