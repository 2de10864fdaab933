/** What the quickstart compares: FlowHN in its strategies, a transformer, a state-space model, and the sequential hybrid. */
import type { Preset } from './preset.ts';
import { findPreset } from './registry.ts';

export const quickstartPresets: readonly Preset[] = [
  'llama-nano',
  'mamba1-nano',
  'shm-nano',
  'flowhn-none-nano',
  'flowhn-ae-nano',
  'flowhn-fa-nano',
  'flowhn-fac-nano',
  'flowhn-chunks-nano',
].map(findPreset);
