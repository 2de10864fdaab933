/** Mamba (Gu and Dao 2023) as `transformers` writes it: `*-hf` checkpoints. */
import type { Family } from '../family.ts';
import type { Fields } from '../fields.ts';
import { ends, linear, mamba1 } from '../tables.ts';

/** The rank of the time step: `auto` is the width over 16, rounded up. */
export function readRank(fields: Fields, key: string, width: number): number {
  return fields.is(key, 'auto') || !fields.has(key) ? Math.ceil(width / 16) : fields.size(key);
}

export const mamba: Family = {
  name: 'mamba',
  summary: 'mamba1, every block a mixer alone',
  forms: ['mamba1'],
  read(fields) {
    fields.only('hidden_act', 'silu');
    const width = fields.size('hidden_size');
    return {
      pattern: `mamba1*${fields.size('num_hidden_layers')}`,
      width,
      vocabulary: fields.size('vocab_size'),
      tiedHead: fields.flag('tie_word_embeddings', { or: true }),
      normEpsilon: fields.number('layer_norm_epsilon', { or: 1e-5 }),
      mamba1: {
        state: fields.size('state_size', { or: 16 }),
        // Some conversions have a wrong `intermediate_size`; the reference reads `expand`.
        expand: fields.number('expand', { or: 2 }),
        convolution: fields.size('conv_kernel', { or: 4 }),
        convolutionBias: fields.flag('use_conv_bias', { or: true }),
        bias: fields.flag('use_bias', { or: false }),
        dtRank: readRank(fields, 'time_step_rank', width),
        norms: false,
      },
    };
  },
  write({ config, blocks, options }) {
    const { state, expand, convolution, convolutionBias, bias, dtRank } = options('mamba1') ?? {};
    return {
      architectures: ['MambaForCausalLM'],
      model_type: 'mamba',
      vocab_size: config.vocabulary,
      hidden_size: config.width,
      intermediate_size: Number(expand) * config.width,
      num_hidden_layers: blocks.length,
      state_size: state,
      conv_kernel: convolution,
      expand,
      time_step_rank: dtRank,
      use_bias: bias,
      use_conv_bias: convolutionBias,
      hidden_act: 'silu',
      residual_in_fp32: true,
      layer_norm_epsilon: config.normEpsilon,
      tie_word_embeddings: config.tiedHead,
    };
  },
  rules: ({ config, blocks }) => [
    ...ends({ embedding: 'backbone.embeddings', norm: 'backbone.norm_f' }, config.tiedHead),
    ...blocks.flatMap(({ layers: [mixer] }, index) => {
      const from = `backbone.layers.${index}`;
      return [...linear(`${from}.norm`, `${mixer.path}.norm`), ...mamba1(`${from}.mixer`, mixer.path)];
    }),
  ],
};
