export type { Preset } from './preset.ts';
export { findPreset, presets } from './registry.ts';
