/** Zamba2 (Glorioso et al. 2024): Mamba-2, and at some layers a transformer block whose weights several layers share. */
import type { Family, PlacedBlock } from '../family.ts';
import type { Fields, Json } from '../fields.ts';
import type { MappingRule } from '../mapping.ts';
import { patternText } from '../patternText.ts';
import { attention, ends, fused, linear, mamba2 } from '../tables.ts';
import { readRope } from './rope.ts';
import { readTimeLimit, writeTimeLimit } from './timeLimit.ts';

const shared = 'memory-mamba2';

/** The gated norm has an epsilon of its own there, which no configuration names. */
const gateEpsilon = 1e-5;

function readKinds(fields: Fields): readonly ('mamba' | 'hybrid')[] {
  const words = fields.words('layers_block_type', ['mamba', 'linear_attention', 'hybrid']);
  const count = fields.size('num_hidden_layers', { or: words.length });
  if (count === words.length) return words.map((word) => (word === 'hybrid' ? word : 'mamba'));
  throw fields.fail('num_hidden_layers', `is ${count}, but 'layers_block_type' has ${words.length} layers.`);
}

function readMamba(fields: Fields, bias: boolean): Json {
  const heads = fields.size('n_mamba_heads');
  const inner = fields.number('mamba_expand', { or: 2 }) * fields.size('hidden_size');
  return {
    heads,
    headDim: fields.size('mamba_headdim', { or: inner / heads }),
    state: fields.size('mamba_d_state', { or: 64 }),
    groups: fields.size('mamba_ngroups', { or: 1 }),
    convolution: fields.size('mamba_d_conv', { or: 4 }),
    bias,
    normEpsilon: gateEpsilon,
    ...readTimeLimit(fields),
  };
}

function readMemory(fields: Fields, bias: boolean): Json {
  const read = 2 * fields.size('hidden_size');
  fields.only('attention_hidden_size', read);
  const heads = fields.size('num_attention_heads');
  return {
    beside: 'embedding',
    adapterRank: fields.size('adapter_rank', { or: 128 }),
    adaptAttention: fields.flag('use_shared_attention_adapter', { or: false }),
    attention: {
      heads,
      kvHeads: fields.size('num_key_value_heads', { or: heads }),
      headDim: fields.size('attention_head_dim', { or: read / heads }),
      rope: fields.flag('use_mem_rope', { or: false }) ? readRope(fields) : false,
      // Scores are divided by the root of half a head there.
      scales: { key: Math.SQRT2 },
    },
    mlp: { kind: 'geglu-erf', width: fields.size('intermediate_size'), bias },
  };
}

/** The names of the memories of a model's layers, in order; blocks without one are left out. */
function memories(
  blocks: readonly PlacedBlock[],
): readonly { readonly index: number; readonly name: string }[] {
  return blocks.flatMap(({ layers: [{ layer }] }, index) =>
    layer.type === shared ? [{ index, name: String(layer.options.memory) }] : [],
  );
}

/** What a layer adds to the shared weights: lists at the first layer with that memory, one entry per site. */
function adapterRules(owner: string, site: number, to: string): readonly MappingRule[] {
  const pair = (list: string, input: string, outputs: MappingRule['to']): readonly MappingRule[] => [
    { from: `${owner}.${list}_adapter_list.${site}.0.weight`, to: `${to}.${input}.in.weight` },
    { from: `${owner}.${list}_adapter_list.${site}.1.weight`, to: outputs },
  ];
  return [
    ...pair('self_attn.linear_q', 'query', `${to}.query.out.weight`),
    ...pair('self_attn.linear_k', 'key', `${to}.key.out.weight`),
    ...pair('self_attn.linear_v', 'value', `${to}.value.out.weight`),
    ...pair('feed_forward.gate_up_proj', 'hidden', {
      rows: [`${to}.gate.out.weight`, `${to}.up.out.weight`],
    }),
  ];
}

function memoryRules(from: string, to: string): readonly MappingRule[] {
  return [
    ...linear(`${from}.input_layernorm`, `${to}.attention.norm`),
    ...attention(`${from}.self_attn`, `${to}.attention`),
    ...linear(`${from}.pre_ff_layernorm`, `${to}.mlp.norm`),
    ...fused(`${from}.feed_forward.gate_up_proj`, [`${to}.mlp.gate`, `${to}.mlp.up`]),
    ...linear(`${from}.feed_forward.down_proj`, `${to}.mlp.down`),
  ];
}

export const zamba2: Family = {
  name: 'zamba2',
  summary: 'mamba2, and memory-mamba2 where a shared transformer block is read',
  forms: ['mamba2', shared],
  read(fields) {
    fields.only('hidden_act', 'gelu');
    fields.only('use_shared_mlp_adapter', true);
    fields.only('use_long_context', false);
    const kinds = readKinds(fields);
    const count = fields.size('num_mem_blocks', { or: 1 });
    const bias = fields.flag('add_bias_linear', { or: false });
    const ssm = readMamba(fields, bias);
    const memory = kinds.includes('hybrid') ? readMemory(fields, bias) : {};
    let site = 0;
    const terms = kinds.map((kind) => (kind === 'mamba' ? 'mamba2' : `memory${site++ % count}`));
    const used = [...new Set(terms)].filter((term) => term !== 'mamba2');
    const aliases = used.map((name) => [
      name,
      { type: shared, memory: name.replace('memory', ''), ...memory, mamba2: ssm },
    ]);
    return {
      pattern: patternText(terms),
      width: fields.size('hidden_size'),
      vocabulary: fields.size('vocab_size'),
      tiedHead: fields.flag('tie_word_embeddings', { or: true }),
      normEpsilon: fields.number('rms_norm_eps', { or: 1e-5 }),
      mamba2: ssm,
      ...Object.fromEntries(aliases),
    };
  },
  write({ config, blocks, options }) {
    const memory = options(shared) ?? {};
    const ssm = options('mamba2') ?? ((memory.mamba2 ?? {}) as Json);
    const attending = (memory.attention ?? { heads: 1, kvHeads: 1, headDim: 2 * config.width }) as Json;
    const channel = (memory.mlp ?? { width: config.width, bias: ssm.bias }) as Json;
    const { theta = 10_000 } = (attending.rope || {}) as { readonly theta?: number };
    const names = new Set(memories(blocks).map(({ name }) => name));
    return {
      architectures: ['Zamba2ForCausalLM'],
      model_type: 'zamba2',
      vocab_size: config.vocabulary,
      hidden_size: config.width,
      intermediate_size: channel.width,
      num_hidden_layers: blocks.length,
      layers_block_type: blocks.map(({ form }) => (form === shared ? 'hybrid' : 'mamba')),
      num_mem_blocks: Math.max(1, names.size),
      attention_hidden_size: 2 * config.width,
      attention_head_dim: attending.headDim,
      num_attention_heads: attending.heads,
      num_key_value_heads: attending.kvHeads,
      use_mem_rope: attending.rope !== false && attending.rope !== undefined,
      rope_theta: theta,
      use_shared_mlp_adapter: true,
      use_shared_attention_adapter: memory.adaptAttention ?? false,
      adapter_rank: memory.adapterRank ?? 1,
      add_bias_linear: ssm.bias,
      mamba_d_state: ssm.state,
      mamba_d_conv: ssm.convolution,
      mamba_expand: (Number(ssm.heads) * Number(ssm.headDim)) / config.width,
      mamba_ngroups: ssm.groups,
      n_mamba_heads: ssm.heads,
      mamba_headdim: ssm.headDim,
      chunk_size: 256,
      ...writeTimeLimit(ssm.dtLimit),
      use_conv_bias: true,
      hidden_act: 'gelu',
      rms_norm_eps: config.normEpsilon,
      tie_word_embeddings: config.tiedHead,
    };
  },
  rules({ config, blocks }) {
    const sites = memories(blocks);
    const owners = new Map([...sites].reverse().map(({ index, name }) => [name, index]));
    const ownerOf = (name: string): string => `model.layers.${owners.get(name)}.shared_transformer`;
    const layerRules = (
      { layers: [{ path, layer }] }: PlacedBlock,
      index: number,
    ): readonly MappingRule[] => {
      const from = `model.layers.${index}`;
      if (layer.type !== shared) {
        return [...linear(`${from}.input_layernorm`, `${path}.norm`), ...mamba2(`${from}.mamba`, path)];
      }
      const site = sites.findIndex((candidate) => candidate.index === index);
      const decoder = `${from}.mamba_decoder`;
      return [
        ...linear(`${from}.linear`, `${path}.link`),
        ...linear(`${decoder}.input_layernorm`, `${path}.mamba2.norm`),
        ...mamba2(`${decoder}.mamba`, `${path}.mamba2`),
        ...adapterRules(ownerOf(sites[site].name), site, `${path}.adapters`),
      ];
    };
    return [
      ...ends({ embedding: 'model.embed_tokens', norm: 'model.final_layernorm' }, config.tiedHead),
      ...[...owners.keys()].flatMap((name) => memoryRules(ownerOf(name), `memory.${name}`)),
      ...blocks.flatMap(layerRules),
    ];
  },
};
