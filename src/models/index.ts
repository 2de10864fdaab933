export type { FileSystem, WritableFile } from './atomicFile.ts';
export { fileError, nodeFileSystem, writeFileAtomically } from './atomicFile.ts';
export type { BuiltModel, ModelOptions } from './build.ts';
export { buildModel } from './build.ts';
export type { ModelConfig } from './config.ts';
export { blocksOf, modelConfigSchema, parseModelConfig, readModelConfig } from './config.ts';
export type { ConfigIssue, ConfigPath, Locate } from './configIssues.ts';
export { configError, parseConfig } from './configIssues.ts';
export type { ConfigText } from './configText.ts';
export { readConfigText } from './configText.ts';
export type { LayoutFinding } from './findings.ts';
export { layoutFindings } from './findings.ts';
export * from './interchange/index.ts';
export type { LayerForm } from './layerForm.ts';
export { nearestName, suggestName } from './nearest.ts';
export { applyOverrides } from './overrides.ts';
export type { ExpandedLayer, LayerKind, LayerNames, PatternNode, PatternTree } from './pattern.ts';
export { expandPattern, formatPattern, namesInPattern, parsePattern } from './pattern.ts';
export type {
  BlockPlan,
  BranchPlan,
  LayerPlan,
  ModelPlan,
  StateBytes,
  StatePlan,
  StatesPlan,
} from './plan.ts';
export { planModel } from './plan.ts';
export type { Preset } from './presets/index.ts';
export { findPreset, presets, quickstartPresets } from './presets/index.ts';
export type { SafetensorsType, TensorToWrite } from './safetensors.ts';
export { SafetensorsFile, writeSafetensors } from './safetensors.ts';
export { parseJson, readText } from './textFile.ts';
