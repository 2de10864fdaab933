/** Nemotron-H (NVIDIA 2025): one mixer or MLP per layer, each with its own norm, in an order that a string spells. */
import type { Family, PlacedLayer } from '../family.ts';
import type { Fields } from '../fields.ts';
import type { MappingRule } from '../mapping.ts';
import { patternText } from '../patternText.ts';
import { attention, ends, linear, mamba2, mlp } from '../tables.ts';
import { readTimeLimit, writeTimeLimit } from './timeLimit.ts';

/** Letters of `hybrid_override_pattern`, and the words that `layers_block_type` has for them. */
const kinds = [
  { letter: 'M', word: 'linear_attention', layer: 'mamba2' },
  { letter: '*', word: 'full_attention', layer: 'attention' },
  { letter: '-', word: 'mlp', layer: 'mlp' },
] as const;

function readLayers(fields: Fields): readonly string[] {
  const words = kinds.map(({ word }) => word);
  const key = fields.either('layers_block_type', 'hybrid_override_pattern');
  const layers =
    key === 'layers_block_type'
      ? fields.words(key, [...words, 'mamba', 'attention']).map((word) => layerOf(word))
      : [...fields.text(key)].map((letter, index) => {
          const kind = kinds.find((candidate) => candidate.letter === letter);
          if (kind) return kind.layer;
          throw fields.fail(key, `has '${letter}' at place ${index}; known here: M, * and -.`);
        });
  const count = fields.size('num_hidden_layers', { or: layers.length });
  if (count === layers.length) return layers;
  throw fields.fail('num_hidden_layers', `is ${count}, but '${key}' has ${layers.length} layers.`);
}

function layerOf(word: string): string {
  if (word === 'mamba') return 'mamba2';
  return kinds.find((kind) => kind.word === word)?.layer ?? word;
}

const rulesOf: Readonly<Record<string, (from: string, to: string) => readonly MappingRule[]>> = {
  mamba2,
  attention,
  mlp,
};

export const nemotronH: Family = {
  name: 'nemotron_h',
  summary: 'mamba2, attention without positions and squared-ReLU mlp, a layer each',
  forms: ['mamba2', 'attention', 'mlp'],
  read(fields) {
    fields.only('mlp_hidden_act', 'relu2');
    fields.only('mamba_hidden_act', 'silu');
    const heads = fields.size('num_attention_heads');
    const dimension = fields.either('head_dim', 'attention_head_dim');
    const width = fields.size('hidden_size');
    return {
      pattern: patternText(readLayers(fields)),
      width,
      vocabulary: fields.size('vocab_size'),
      tiedHead: fields.flag('tie_word_embeddings', { or: false }),
      normEpsilon: fields.number('layer_norm_epsilon', { or: 1e-5 }),
      attention: {
        heads,
        kvHeads: fields.size('num_key_value_heads', { or: heads }),
        headDim: fields.size(dimension, { or: width / heads }),
        rope: false,
        bias: fields.flag('attention_bias', { or: false }),
      },
      mamba2: {
        heads: fields.size('mamba_num_heads'),
        headDim: fields.size('mamba_head_dim'),
        state: fields.size('ssm_state_size', { or: 128 }),
        groups: fields.size('n_groups', { or: 8 }),
        convolution: fields.size('conv_kernel', { or: 4 }),
        convolutionBias: fields.flag('use_conv_bias', { or: true }),
        bias: fields.flag('use_bias', { or: false }),
        ...readTimeLimit(fields),
      },
      mlp: {
        kind: 'relu2',
        width: fields.size('intermediate_size'),
        bias: fields.flag('mlp_bias', { or: false }),
      },
    };
  },
  write({ config, blocks, options }) {
    // What no layer of the model says has to be said all the same.
    const attending = options('attention') ?? { heads: 1, kvHeads: 1, headDim: config.width, bias: false };
    const ssm = options('mamba2') ?? { heads: 1, headDim: config.width, bias: false, convolutionBias: true };
    const channel = options('mlp') ?? { width: config.width, bias: false };
    const letter = ([{ layer }]: readonly PlacedLayer[]): string =>
      kinds.find((kind) => kind.layer === layer.type)?.letter ?? '';
    return {
      architectures: ['NemotronHForCausalLM'],
      model_type: 'nemotron_h',
      vocab_size: config.vocabulary,
      hidden_size: config.width,
      intermediate_size: channel.width,
      num_hidden_layers: blocks.length,
      hybrid_override_pattern: blocks.map(({ layers }) => letter(layers)).join(''),
      num_attention_heads: attending.heads,
      num_key_value_heads: attending.kvHeads,
      head_dim: attending.headDim,
      attention_bias: attending.bias,
      mamba_num_heads: ssm.heads,
      mamba_head_dim: ssm.headDim,
      ssm_state_size: ssm.state,
      n_groups: ssm.groups,
      conv_kernel: ssm.convolution,
      chunk_size: 256,
      ...writeTimeLimit(ssm.dtLimit),
      use_bias: ssm.bias,
      use_conv_bias: ssm.convolutionBias,
      mlp_bias: channel.bias,
      mlp_hidden_act: 'relu2',
      mamba_hidden_act: 'silu',
      layer_norm_epsilon: config.normEpsilon,
      tie_word_embeddings: config.tiedHead,
    };
  },
  rules: ({ config, blocks }) => [
    ...ends({ embedding: 'backbone.embeddings', norm: 'backbone.norm_f' }, config.tiedHead),
    ...blocks.flatMap(({ layers: [only] }, index) => {
      const from = `backbone.layers.${index}`;
      return [
        ...linear(`${from}.norm`, `${only.path}.norm`),
        ...rulesOf[only.layer.type](`${from}.mixer`, only.path),
      ];
    }),
  ],
};
