/**
 * RecurrentGemma (Botev et al. 2024) as `transformers` writes it: the recurrent block of Griffin and attention within a
 * window in turn, a GeGLU after each; norms multiply by 1 + weight, logits are capped.
 */
import { roundToBfloat16 } from '../../../ops/index.ts';
import type { ExportedModel, Family } from '../family.ts';
import { patternText } from '../patternText.ts';
import { attention, ends, fused, linear, mlp } from '../tables.ts';

const terms = { recurrent: 'rg-lru+mlp', attention: 'attention+mlp' } as const;

type BlockType = keyof typeof terms;

/** Embeddings are multiplied by the root of the width, which the reference rounds to BF16. */
const embeddingScale = (width: number): number => roundToBfloat16(Math.sqrt(width));

/** The shortest list that, repeated, gives the types of all blocks. */
function periodOf({ blocks }: ExportedModel): readonly BlockType[] {
  const types = blocks.map(({ layers: [mixer] }): BlockType => {
    return mixer.layer.type === 'attention' ? 'attention' : 'recurrent';
  });
  const period = types.findIndex((_, length) => {
    return length > 0 && types.every((type, index) => type === types[index % length]);
  });
  return period < 0 ? types : types.slice(0, period);
}

export const recurrentGemma: Family = {
  name: 'recurrent_gemma',
  summary: 'rg-lru and attention within a window in turn, GeGLU after each',
  forms: Object.values(terms),
  read(fields) {
    fields.only('hidden_activation', 'gelu_pytorch_tanh');
    const width = fields.size('hidden_size');
    const heads = fields.size('num_attention_heads');
    const period = fields.words('block_types', ['recurrent', 'attention']);
    if (period.length === 0) throw fields.wrong('block_types', 'a list with at least one entry');
    const layers = fields.size('num_hidden_layers');
    const rope = fields.section('rope_parameters') ?? fields;
    return {
      pattern: patternText(
        Array.from({ length: layers }, (_, layer) => terms[period[layer % period.length]]),
      ),
      width,
      vocabulary: fields.size('vocab_size'),
      tiedHead: fields.flag('tie_word_embeddings', { or: true }),
      normEpsilon: fields.number('rms_norm_eps', { or: 1e-6 }),
      normOffset: true,
      embeddingScale: embeddingScale(width),
      logitSoftCap: fields.number('logits_soft_cap', { or: 30 }),
      'rg-lru': {
        width: fields.size('lru_width', { or: width }),
        heads,
        convolution: fields.size('conv1d_width', { or: 4 }),
        bias: true,
      },
      attention: {
        heads,
        kvHeads: fields.size('num_key_value_heads', { or: heads }),
        headDim: width / heads,
        rope: {
          theta: rope.number('rope_theta', { or: 10_000 }),
          share: rope.number('partial_rotary_factor', { or: 0.5 }),
        },
        window: fields.size('attention_window_size', { or: 2048 }),
        bias: fields.flag('attention_bias', { or: false }),
        outputBias: true,
      },
      mlp: { kind: 'geglu', width: Math.floor(fields.size('intermediate_size') / 2), bias: true },
    };
  },
  write(model) {
    const { config, blocks, options } = model;
    const recurrent = options('rg-lru');
    const attending = options('attention');
    const heads = attending?.heads ?? recurrent?.heads;
    const rope = (attending?.rope || {}) as { readonly theta?: number; readonly share?: number };
    return {
      architectures: ['RecurrentGemmaForCausalLM'],
      model_type: 'recurrent_gemma',
      vocab_size: config.vocabulary,
      hidden_size: config.width,
      intermediate_size: 2 * Number(options('mlp')?.width),
      lru_width: recurrent?.width ?? config.width,
      num_hidden_layers: blocks.length,
      block_types: periodOf(model),
      num_attention_heads: heads,
      num_key_value_heads: attending?.kvHeads ?? heads,
      head_dim: config.width / Number(heads),
      attention_window_size: attending?.window ?? 2048,
      attention_bias: attending?.bias ?? false,
      conv1d_width: recurrent?.convolution ?? 4,
      hidden_activation: 'gelu_pytorch_tanh',
      partial_rotary_factor: rope.share ?? 0.5,
      rope_theta: rope.theta ?? 10_000,
      logits_soft_cap: config.logitSoftCap ?? null,
      rms_norm_eps: config.normEpsilon,
      tie_word_embeddings: config.tiedHead,
    };
  },
  rules: ({ config, blocks }) => [
    ...ends({ embedding: 'model.embed_tokens', norm: 'model.final_norm' }, config.tiedHead),
    ...blocks.flatMap(({ layers: [mixer, channel] }, index) => {
      const from = `model.layers.${index}`;
      const block = `${from}.temporal_block`;
      return [
        ...linear(`${from}.temporal_pre_norm`, `${mixer.path}.norm`),
        ...(mixer.layer.type === 'attention'
          ? attention(block, mixer.path)
          : [
              ...linear(`${block}.linear_y`, `${mixer.path}.gate`),
              ...linear(`${block}.linear_x`, `${mixer.path}.input`),
              ...fused(`${block}.conv_1d`, [`${mixer.path}.convolution`], 'convolution'),
              ...['input', 'recurrent'].flatMap((name) =>
                ['weight', 'bias'].map((part) => ({
                  from: `${block}.rg_lru.${name}_gate_${part}`,
                  to: `${mixer.path}.${name === 'input' ? 'inputGate' : 'recurrenceGate'}.${part}`,
                })),
              ),
              { from: `${block}.rg_lru.recurrent_param`, to: `${mixer.path}.lambda` },
              ...linear(`${block}.linear_out`, `${mixer.path}.output`),
            ]),
        ...linear(`${from}.channel_pre_norm`, `${channel.path}.norm`),
        ...mlp(`${from}.mlp_block`, channel.path),
      ];
    }),
  ],
};
