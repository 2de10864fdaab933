/** LLaMA (Touvron et al. 2023) as `transformers` writes it: attention with rotary positions, SwiGLU. */
import type { Family } from '../family.ts';
import { attention, ends, linear, mlp } from '../tables.ts';
import { readRope, writeRope } from './rope.ts';

export const llama: Family = {
  name: 'llama',
  summary: 'attention+mlp with rotary positions',
  forms: ['attention+mlp'],
  read(fields) {
    fields.only('hidden_act', 'silu');
    const heads = fields.size('num_attention_heads');
    const width = fields.size('hidden_size');
    return {
      pattern: `attention+mlp*${fields.size('num_hidden_layers')}`,
      width,
      vocabulary: fields.size('vocab_size'),
      tiedHead: fields.flag('tie_word_embeddings', { or: false }),
      normEpsilon: fields.number('rms_norm_eps', { or: 1e-6 }),
      attention: {
        heads,
        kvHeads: fields.size('num_key_value_heads', { or: heads }),
        headDim: fields.size('head_dim', { or: width / heads }),
        rope: readRope(fields),
        bias: fields.flag('attention_bias', { or: false }),
      },
      mlp: {
        width: fields.size('intermediate_size'),
        bias: fields.flag('mlp_bias', { or: false }),
      },
    };
  },
  write({ config, blocks, options }) {
    const { heads, kvHeads, headDim, rope, bias } = options('attention') ?? {};
    const { width, bias: mlpBias } = options('mlp') ?? {};
    return {
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      vocab_size: config.vocabulary,
      hidden_size: config.width,
      intermediate_size: width,
      num_hidden_layers: blocks.length,
      num_attention_heads: heads,
      num_key_value_heads: kvHeads,
      head_dim: headDim,
      hidden_act: 'silu',
      rms_norm_eps: config.normEpsilon,
      ...writeRope(rope),
      attention_bias: bias,
      mlp_bias: mlpBias,
      tie_word_embeddings: config.tiedHead,
    };
  },
  rules: ({ config, blocks }) => [
    ...ends({ embedding: 'model.embed_tokens', norm: 'model.norm' }, config.tiedHead),
    ...blocks.flatMap(({ layers: [mixer, channel] }, index) => {
      const from = `model.layers.${index}`;
      return [
        ...linear(`${from}.input_layernorm`, `${mixer.path}.norm`),
        ...attention(`${from}.self_attn`, mixer.path),
        ...linear(`${from}.post_attention_layernorm`, `${channel.path}.norm`),
        ...mlp(`${from}.mlp`, channel.path),
      ];
    }),
  ],
  // Old checkpoints carry the frequencies of the rotary positions.
  ignored: /\.rotary_emb\.inv_freq$/,
};
