/** LLaMA (Touvron et al. 2023): attention with rotary positions and a SwiGLU MLP in every layer. */
import type { Preset } from './preset.ts';
import { repeated } from './preset.ts';
import type { Rival, Shapes } from './sizes.ts';
import { attentionOf, rivalPresets } from './sizes.ts';

const shapes: Shapes = {
  plain: {
    nano: { depth: 5 },
    '10m': { depth: 13 },
    '135m': { depth: 5 },
    '350m': { depth: 25 },
    '1b': { depth: 15 },
  },
  params: {
    '135m': { depth: 5, mlp: 2224 },
    '350m': { depth: 25, mlp: 2080 },
    '1b': { depth: 15, mlp: 8064 },
  },
  flops: { '135m': { depth: 3, mlp: 1520 }, '350m': { depth: 12, mlp: 2000 }, '1b': { depth: 7, mlp: 8704 } },
};

export const llama: Rival = {
  family: 'llama',
  summary: 'attention with rotary positions and an MLP in every layer',
  shapes,
  architecture: (size, depth) => ({
    pattern: repeated('attention+mlp', depth),
    attention: attentionOf(size, { theta: 10_000 }),
    mlp: { width: size.mlp },
  }),
};

export const llamaPresets: readonly Preset[] = rivalPresets(llama);
