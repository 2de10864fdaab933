/** Falcon-H1 (TII 2025): attention and Mamba-2 side by side on one norm, then SwiGLU; constant factors throughout. */
import type { Family } from '../family.ts';
import type { Fields } from '../fields.ts';
import { attention, ends, linear, mamba2, mlp } from '../tables.ts';
import { readRope, writeRope } from './rope.ts';
import { readTimeLimit, writeTimeLimit } from './timeLimit.ts';

function readMamba(fields: Fields): Readonly<Record<string, unknown>> {
  const heads = fields.size('mamba_n_heads');
  const headDim = fields.is('mamba_d_head', 'auto')
    ? fields.size('mamba_d_ssm') / heads
    : fields.size('mamba_d_head');
  const inner = fields.size('mamba_d_ssm', { or: heads * headDim });
  if (heads * headDim !== inner) {
    throw fields.fail('mamba_d_ssm', `is ${inner}, but there are ${heads} heads of ${headDim}.`);
  }
  const bias = fields.flag('mamba_proj_bias', { or: false });
  // Two switches there, one for the projections in and one for that out.
  if (fields.flag('projectors_bias', { or: bias }) !== bias) {
    throw fields.fail(
      'projectors_bias',
      `differs from 'mamba_proj_bias'; both are read when they are the same.`,
    );
  }
  const normed = fields.flag('mamba_rms_norm', { or: false });
  const [gate, x, b, c, dt] = fields.has('ssm_multipliers')
    ? fields.numbers('ssm_multipliers', 5)
    : [1, 1, 1, 1, 1];
  return {
    heads,
    headDim,
    state: fields.size('mamba_d_state'),
    groups: fields.size('mamba_n_groups', { or: 1 }),
    convolution: fields.size('mamba_d_conv', { or: 4 }),
    convolutionBias: fields.flag('mamba_conv_bias', { or: true }),
    bias,
    norm: normed ? (fields.flag('mamba_norm_before_gate', { or: true }) ? 'beforeGate' : 'afterGate') : false,
    scales: {
      input: fields.number('ssm_in_multiplier', { or: 1 }),
      ...{ gate, x, b, c, dt },
      output: fields.number('ssm_out_multiplier', { or: 1 }),
    },
    ...readTimeLimit(fields),
  };
}

export const falconH1: Family = {
  name: 'falcon_h1',
  summary: '(attention & mamba2)+mlp with branches that are added',
  forms: ['(attention & mamba2)+mlp'],
  read(fields) {
    fields.only('hidden_act', 'silu');
    const heads = fields.size('num_attention_heads');
    const width = fields.size('hidden_size');
    const [gate, output] = fields.has('mlp_multipliers') ? fields.numbers('mlp_multipliers', 2) : [1, 1];
    return {
      pattern: `(attention & mamba2)+mlp*${fields.size('num_hidden_layers')}`,
      width,
      vocabulary: fields.size('vocab_size'),
      tiedHead: fields.flag('tie_word_embeddings', { or: false }),
      normEpsilon: fields.number('rms_norm_eps', { or: 1e-5 }),
      embeddingScale: fields.number('embedding_multiplier', { or: 1 }),
      logitScale: fields.number('lm_head_multiplier', { or: 1 }),
      fusion: { type: 'sum' },
      attention: {
        heads,
        kvHeads: fields.size('num_key_value_heads', { or: heads }),
        headDim: fields.size('head_dim', { or: width / heads }),
        rope: readRope(fields),
        bias: fields.flag('attention_bias', { or: false }),
        scales: {
          input: fields.number('attention_in_multiplier', { or: 1 }),
          key: fields.number('key_multiplier', { or: 1 }),
          output: fields.number('attention_out_multiplier', { or: 1 }),
        },
      },
      mamba2: readMamba(fields),
      mlp: {
        width: fields.size('intermediate_size'),
        bias: fields.flag('mlp_bias', { or: false }),
        scales: { gate, output },
      },
    };
  },
  write({ config, blocks, options }) {
    const { heads, kvHeads, headDim, rope, bias, scales } = options('attention') ?? {};
    const ssm = options('mamba2') ?? {};
    const channel = options('mlp') ?? {};
    const attending = scales as Readonly<Record<'input' | 'key' | 'output', number>> | undefined;
    const factors = ssm.scales as Readonly<Record<string, number>> | undefined;
    const channelFactors = channel.scales as Readonly<Record<'gate' | 'output', number>> | undefined;
    return {
      architectures: ['FalconH1ForCausalLM'],
      model_type: 'falcon_h1',
      vocab_size: config.vocabulary,
      hidden_size: config.width,
      intermediate_size: channel.width,
      num_hidden_layers: blocks.length,
      num_attention_heads: heads,
      num_key_value_heads: kvHeads,
      head_dim: headDim,
      ...writeRope(rope),
      attention_bias: bias,
      mlp_bias: channel.bias,
      mamba_n_heads: ssm.heads,
      mamba_d_head: ssm.headDim,
      mamba_d_ssm: Number(ssm.heads) * Number(ssm.headDim),
      mamba_d_state: ssm.state,
      mamba_n_groups: ssm.groups,
      mamba_d_conv: ssm.convolution,
      mamba_chunk_size: 256,
      mamba_conv_bias: ssm.convolutionBias,
      mamba_proj_bias: ssm.bias,
      projectors_bias: ssm.bias,
      mamba_rms_norm: ssm.norm !== false,
      mamba_norm_before_gate: ssm.norm === 'beforeGate',
      ...writeTimeLimit(ssm.dtLimit),
      embedding_multiplier: config.embeddingScale,
      lm_head_multiplier: config.logitScale,
      attention_in_multiplier: attending?.input ?? 1,
      key_multiplier: attending?.key ?? 1,
      attention_out_multiplier: attending?.output ?? 1,
      ssm_in_multiplier: factors?.input ?? 1,
      ssm_multipliers: ['gate', 'x', 'b', 'c', 'dt'].map((name) => factors?.[name] ?? 1),
      ssm_out_multiplier: factors?.output ?? 1,
      mlp_multipliers: [channelFactors?.gate ?? 1, channelFactors?.output ?? 1],
      hidden_act: 'silu',
      rms_norm_eps: config.normEpsilon,
      tie_word_embeddings: config.tiedHead,
    };
  },
  rules: ({ config, blocks }) => [
    ...ends({ embedding: 'model.embed_tokens', norm: 'model.final_layernorm' }, config.tiedHead),
    ...blocks.flatMap(({ path, layers: [attending, ssm, channel] }, index) => {
      const from = `model.layers.${index}`;
      return [
        ...linear(`${from}.input_layernorm`, `${path}.norm`),
        ...attention(`${from}.self_attn`, attending.path),
        ...mamba2(`${from}.mamba`, ssm.path),
        ...linear(`${from}.pre_ff_layernorm`, `${channel.path}.norm`),
        ...mlp(`${from}.feed_forward`, channel.path),
      ];
    }),
  ],
};
