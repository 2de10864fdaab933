/** Mamba-2 (Dao and Gu 2024) as `transformers` writes it. */
import type { Family } from '../family.ts';
import { ends, linear, mamba2 as mixerRules } from '../tables.ts';
import { readTimeLimit, writeTimeLimit } from './timeLimit.ts';

export const mamba2: Family = {
  name: 'mamba2',
  summary: 'mamba2, every block a mixer alone',
  forms: ['mamba2'],
  read(fields) {
    fields.only('hidden_act', 'silu');
    const heads = fields.size('num_heads');
    const headDim = fields.size('head_dim');
    const width = fields.size('hidden_size');
    const inner = fields.number('expand', { or: 2 }) * width;
    if (heads * headDim !== inner) {
      throw fields.fail(
        'num_heads',
        `is ${heads}, which times head_dim ${headDim} is not the inner width ${inner}.`,
      );
    }
    return {
      pattern: `mamba2*${fields.size('num_hidden_layers')}`,
      width,
      vocabulary: fields.size('vocab_size'),
      tiedHead: fields.flag('tie_word_embeddings', { or: false }),
      normEpsilon: fields.number('layer_norm_epsilon', { or: 1e-5 }),
      mamba2: {
        heads,
        headDim,
        state: fields.size('state_size', { or: 128 }),
        groups: fields.size('n_groups', { or: 8 }),
        convolution: fields.size('conv_kernel', { or: 4 }),
        convolutionBias: fields.flag('use_conv_bias', { or: true }),
        bias: fields.flag('use_bias', { or: false }),
        ...readTimeLimit(fields),
      },
    };
  },
  write({ config, blocks, options }) {
    const ssm = options('mamba2') ?? {};
    return {
      architectures: ['Mamba2ForCausalLM'],
      model_type: 'mamba2',
      vocab_size: config.vocabulary,
      hidden_size: config.width,
      num_hidden_layers: blocks.length,
      num_heads: ssm.heads,
      head_dim: ssm.headDim,
      expand: (Number(ssm.heads) * Number(ssm.headDim)) / config.width,
      state_size: ssm.state,
      n_groups: ssm.groups,
      conv_kernel: ssm.convolution,
      chunk_size: 256,
      ...writeTimeLimit(ssm.dtLimit),
      use_bias: ssm.bias,
      use_conv_bias: ssm.convolutionBias,
      hidden_act: 'silu',
      rms_norm: true,
      residual_in_fp32: true,
      layer_norm_epsilon: config.normEpsilon,
      tie_word_embeddings: config.tiedHead,
    };
  },
  rules: ({ config, blocks }) => [
    ...ends({ embedding: 'backbone.embeddings', norm: 'backbone.norm_f' }, config.tiedHead),
    ...blocks.flatMap(({ layers: [mixer] }, index) => {
      const from = `backbone.layers.${index}`;
      return [...linear(`${from}.norm`, `${mixer.path}.norm`), ...mixerRules(`${from}.mixer`, mixer.path)];
    }),
  ],
};
