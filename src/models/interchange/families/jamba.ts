/** Jamba (Lieber et al. 2024): Mamba-1 with norms, some attention without positions, dense or routed MLPs. */
import type { ExportedModel, Family } from '../family.ts';
import { patternText } from '../patternText.ts';
import { attention, ends, experts, linear, mamba1, mlp } from '../tables.ts';
import { readRank } from './mamba.ts';

/** Layers i with i mod period = offset. */
interface Every {
  readonly period: number;
  readonly offset: number;
}

const isOne = (layer: number, { period, offset }: Every): boolean => layer % period === offset;

/** The rule that fits the first layers of a kind; whether it fits them all is seen when it is read back. */
function ruleOf(model: ExportedModel, type: string): Every {
  const found = model.blocks.flatMap((block, index) =>
    block.layers.some(({ layer }) => layer.type === type) ? [index] : [],
  );
  const [first = model.blocks.length, second = first + model.blocks.length + 1] = found;
  return { period: second - first, offset: first };
}

export const jamba: Family = {
  name: 'jamba',
  summary: 'mamba1 with norms and attention without positions in turn, mlp or moe after each',
  forms: ['mamba1+mlp', 'mamba1+moe', 'attention+mlp', 'attention+moe'],
  read(fields) {
    fields.only('hidden_act', 'silu');
    const width = fields.size('hidden_size');
    const layers = fields.size('num_hidden_layers');
    const attentionLayers = {
      period: fields.size('attn_layer_period', { or: 8 }),
      offset: fields.size('attn_layer_offset', { or: 4, least: 0 }),
    };
    const expertLayers = {
      period: fields.size('expert_layer_period', { or: 2 }),
      offset: fields.size('expert_layer_offset', { or: 1, least: 0 }),
    };
    const count = fields.size('num_experts', { or: 16 });
    const heads = fields.size('num_attention_heads');
    const terms = Array.from({ length: layers }, (_, layer) => {
      const routed = count > 1 && isOne(layer, expertLayers);
      return `${isOne(layer, attentionLayers) ? 'attention' : 'mamba1'}+${routed ? 'moe' : 'mlp'}`;
    });
    const hidden = fields.size('intermediate_size');
    return {
      pattern: patternText(terms),
      width,
      vocabulary: fields.size('vocab_size'),
      tiedHead: fields.flag('tie_word_embeddings', { or: false }),
      normEpsilon: fields.number('rms_norm_eps', { or: 1e-6 }),
      attention: {
        heads,
        kvHeads: fields.size('num_key_value_heads', { or: heads }),
        headDim: width / heads,
        rope: false,
      },
      mamba1: {
        state: fields.size('mamba_d_state', { or: 16 }),
        expand: fields.number('mamba_expand', { or: 2 }),
        convolution: fields.size('mamba_d_conv', { or: 4 }),
        convolutionBias: fields.flag('mamba_conv_bias', { or: true }),
        bias: fields.flag('mamba_proj_bias', { or: false }),
        dtRank: readRank(fields, 'mamba_dt_rank', width),
        norms: true,
      },
      mlp: { width: hidden },
      ...(terms.some((term) => term.endsWith('moe'))
        ? { moe: { experts: count, chosen: fields.size('num_experts_per_tok', { or: 2 }), width: hidden } }
        : {}),
    };
  },
  write(model) {
    const { config, blocks, options } = model;
    const { heads = 1, kvHeads = 1 } = options('attention') ?? {};
    const ssm = options('mamba1') ?? {};
    const routed = options('moe') ?? { experts: 1, chosen: 1 };
    const { width } = options('mlp') ?? routed;
    const attentionLayers = ruleOf(model, 'attention');
    const expertLayers = ruleOf(model, 'moe');
    return {
      architectures: ['JambaForCausalLM'],
      model_type: 'jamba',
      vocab_size: config.vocabulary,
      hidden_size: config.width,
      intermediate_size: width,
      num_hidden_layers: blocks.length,
      attn_layer_period: attentionLayers.period,
      attn_layer_offset: attentionLayers.offset,
      expert_layer_period: expertLayers.period,
      expert_layer_offset: expertLayers.offset,
      num_attention_heads: heads,
      num_key_value_heads: kvHeads,
      num_experts: routed.experts,
      num_experts_per_tok: routed.chosen,
      mamba_d_state: ssm.state,
      mamba_d_conv: ssm.convolution,
      mamba_expand: ssm.expand,
      mamba_dt_rank: ssm.dtRank,
      mamba_conv_bias: ssm.convolutionBias,
      mamba_proj_bias: ssm.bias,
      hidden_act: 'silu',
      rms_norm_eps: config.normEpsilon,
      tie_word_embeddings: config.tiedHead,
    };
  },
  rules: ({ config, blocks }) => [
    ...ends({ embedding: 'model.embed_tokens', norm: 'model.final_layernorm' }, config.tiedHead),
    ...blocks.flatMap(({ layers: [mixer, channel] }, index) => {
      const from = `model.layers.${index}`;
      return [
        ...linear(`${from}.input_layernorm`, `${mixer.path}.norm`),
        ...(mixer.layer.type === 'attention'
          ? attention(`${from}.self_attn`, mixer.path)
          : mamba1(`${from}.mamba`, mixer.path)),
        ...linear(`${from}.pre_ff_layernorm`, `${channel.path}.norm`),
        ...(channel.layer.type === 'mlp'
          ? mlp(`${from}.feed_forward`, channel.path)
          : experts(`${from}.feed_forward`, channel.path, Number(channel.layer.options.experts))),
      ];
    }),
  ],
};
