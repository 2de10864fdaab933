export type { Preset } from './preset.ts';
export { quickstartPresets } from './quickstart.ts';
export { findPreset, presets } from './registry.ts';
