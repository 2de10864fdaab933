/**
 * The public interface: from a configuration to a plan, a trained run and generated text, and, below that, graphs,
 * programs and executors. Everything else of a part is reached through its own path, such as `braid/ops`.
 */

export { layout } from './blocks/index.ts';
export type { Differentiated, GraphCost, Program } from './compiler/index.ts';
export { compile, differentiate, graphCost } from './compiler/index.ts';
export type { Text, TextChoice, Tokenizer } from './data/index.ts';
export { byteTokenizer, findTokenizer, loadText } from './data/index.ts';
export type { Perplexity } from './eval/index.ts';
export { PerplexityMeter } from './eval/index.ts';
export type {
  GenerateOptions,
  LoadedModel,
  SamplingOptions,
  Session,
  SessionState,
} from './generate/index.ts';
export {
  createSession,
  decodeStream,
  defaultSampling,
  encodePrompt,
  generate,
  loadModel,
  loadState,
  saveState,
} from './generate/index.ts';
export type { DType, ErrorCode, Shape, Tensor } from './graph/index.ts';
export { BraidError, Graph } from './graph/index.ts';
export type { BuiltModel, ModelConfig, ModelOptions, ModelPlan, Preset } from './models/index.ts';
export {
  buildModel,
  findPreset,
  parseModelConfig,
  parsePattern,
  planModel,
  presets,
  readModelConfig,
  SafetensorsFile,
} from './models/index.ts';
export * as ops from './ops/index.ts';
export type { Executor, LoadedProgram, Store } from './runtime/index.ts';
export { createExecutor, inspectNative } from './runtime/index.ts';
export type { FrozenRunConfig, LoopOptions, Outcome, Run, RunConfig, StepMetrics } from './train/index.ts';
export { createRun, freeze, openRun, parseRunConfig, resume, Trainer, trainRun } from './train/index.ts';
