/** The names of the released FlowHN model (Moradi et al., arXiv 2505.19472), and a configuration from its sizes. */
import { BraidError } from '../graph/index.ts';
import type { ModelConfig } from './config.ts';
import { parseModelConfig } from './config.ts';
import type { MappingRule } from './importMapping.ts';

const attention = 'blocks.{i}.branch0.attention';
const mamba = 'blocks.{i}.branch1.mamba1';

/** The released layers have a norm and an MLP of their own in each branch. */
function branchRules(released: string, mixer: string, mlp: string): readonly MappingRule[] {
  return [
    { from: `${released}.input_layernorm.weight`, to: `${mixer}.norm.weight` },
    { from: `${released}.pre_ff_layernorm.weight`, to: `${mlp}.norm.weight` },
    { from: `${released}.feed_forward.gate_proj.weight`, to: `${mlp}.gate.weight` },
    { from: `${released}.feed_forward.up_proj.weight`, to: `${mlp}.up.weight` },
    { from: `${released}.feed_forward.down_proj.weight`, to: `${mlp}.down.weight` },
  ];
}

const layer = 'model.layers.{i}';
const selfAttention = `${layer}.atten.self_attn`;
const mixer = `${layer}.mamba.mamba`;

const commonRules: readonly MappingRule[] = [
  { from: 'model.embed_tokens.weight', to: 'embedding.weight' },
  ...branchRules(`${layer}.atten`, attention, 'blocks.{i}.branch0.mlp'),
  { from: `${selfAttention}.q_proj.weight`, to: `${attention}.query.weight` },
  { from: `${selfAttention}.k_proj.weight`, to: `${attention}.key.weight` },
  { from: `${selfAttention}.v_proj.weight`, to: `${attention}.value.weight` },
  { from: `${selfAttention}.o_proj.weight`, to: `${attention}.output.weight` },
  ...branchRules(`${layer}.mamba`, mamba, 'blocks.{i}.branch1.mlp'),
  // One matrix there: first what the convolution reads, then the gate.
  { from: `${mixer}.in_proj.weight`, to: { rows: [`${mamba}.input.weight`, `${mamba}.gate.weight`] } },
  { from: `${mixer}.conv1d.weight`, to: `${mamba}.convolution.weight` },
  { from: `${mixer}.conv1d.bias`, to: `${mamba}.convolution.bias` },
  { from: `${mixer}.x_proj.weight`, to: `${mamba}.selection.weight` },
  { from: `${mixer}.dt_layernorm.weight`, to: `${mamba}.dtNorm.weight` },
  { from: `${mixer}.b_layernorm.weight`, to: `${mamba}.bNorm.weight` },
  { from: `${mixer}.c_layernorm.weight`, to: `${mamba}.cNorm.weight` },
  { from: `${mixer}.dt_proj.weight`, to: `${mamba}.dt.weight` },
  { from: `${mixer}.dt_proj.bias`, to: `${mamba}.dt.bias` },
  { from: `${mixer}.A_log`, to: `${mamba}.aLog` },
  { from: `${mixer}.D`, to: `${mamba}.d` },
  { from: `${mixer}.out_proj.weight`, to: `${mamba}.output.weight` },
  { from: `${layer}.pre_ff_layernorm.weight`, to: 'blocks.{i}.final.norm.weight' },
  { from: `${layer}.final_proj.weight`, to: 'blocks.{i}.final.output.weight' },
  { from: 'model.final_layernorm.weight', to: 'finalNorm.weight' },
  { from: 'lm_head.weight', to: 'head.weight' },
];

/** Without a split, the released code concatenates the state-space branch first. */
const parallelFusion: MappingRule = {
  from: `${layer}.branch_proj.weight`,
  to: { columns: ['blocks.{i}.fusion.branch1.weight', 'blocks.{i}.fusion.branch0.weight'] },
};

const routedFusion: MappingRule = {
  from: `${layer}.branch_proj.weight`,
  to: 'blocks.{i}.fusion.output.weight',
};

/** The released modes: no split, alternating halves, flop-aware and circulating as coded. */
const strategies: Readonly<Record<string, string | undefined>> = { B: 'ae', C: 'fa-code', D: 'fac-code' };

export interface ReleasedModel {
  readonly config: ModelConfig;
  readonly blocks: number;
  readonly rules: readonly MappingRule[];
}

/**
 * The configuration that a file's metadata describes.
 * @param file name of the file, for messages
 */
export function readFlowhn(file: string, metadata: Readonly<Record<string, string>>): ReleasedModel {
  const size = (key: string): number => {
    const value = Number(metadata[key]);
    if (metadata[key] !== undefined && Number.isFinite(value)) return value;
    throw new BraidError(
      'file',
      `'${file}' has no number '${key}' in its metadata: ${metadata[key] ?? 'missing'}.`,
    );
  };
  const { mode = '' } = metadata;
  const strategy = strategies[mode];
  if (mode !== 'A' && strategy === undefined) {
    throw new BraidError('file', `'${file}' has the mode '${mode}' in its metadata. Known: A, B, C, D.`);
  }
  const blocks = size('num_blocks');
  const config = parseModelConfig(
    {
      pattern: `(attention+mlp ${strategy === undefined ? '&' : '|'} mamba1+mlp)*${blocks}`,
      width: size('hidden_size'),
      vocabulary: size('vocab_size'),
      normEpsilon: size('rms_norm_eps'),
      attention: { heads: size('num_attention_heads'), kvHeads: size('num_key_value_heads'), rope: false },
      mamba1: {
        state: size('mamba_d_state'),
        convolution: size('mamba_d_conv'),
        expand: size('mamba_expand'),
        dtRank: size('mamba_dt_rank'),
        norms: true,
      },
      mlp: { width: size('intermediate_size') },
      fusion: { type: 'concat-project' },
      ...(strategy === undefined ? {} : { routing: { strategy } }),
    },
    `The model in '${file}'`,
  );
  const fusion = strategy === undefined ? parallelFusion : routedFusion;
  return { config, blocks, rules: [...commonRules, fusion] };
}
