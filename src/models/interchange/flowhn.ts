/** The names of the released FlowHN model (Moradi et al., arXiv 2505.19472), and a configuration from its sizes. */
import { BraidError } from '../../graph/index.ts';
import type { ModelConfig } from '../config.ts';
import { parseModelConfig } from '../config.ts';
import type { MappingRule } from './mapping.ts';
import { attention, ends, linear, mamba1, mlp } from './tables.ts';

/** The released layers have a norm and an MLP of their own in each branch. */
function branchRules(from: string, branch: string, mixer: string): readonly MappingRule[] {
  return [
    ...linear(`${from}.input_layernorm`, `${branch}.${mixer}.norm`),
    ...linear(`${from}.pre_ff_layernorm`, `${branch}.mlp.norm`),
    ...mlp(`${from}.feed_forward`, `${branch}.mlp`),
  ];
}

function blockRules(block: number, split: boolean): readonly MappingRule[] {
  const from = `model.layers.${block}`;
  const to = `blocks.${block}`;
  return [
    ...branchRules(`${from}.atten`, `${to}.branch0`, 'attention'),
    ...attention(`${from}.atten.self_attn`, `${to}.branch0.attention`),
    ...branchRules(`${from}.mamba`, `${to}.branch1`, 'mamba1'),
    ...mamba1(`${from}.mamba.mamba`, `${to}.branch1.mamba1`),
    {
      from: `${from}.branch_proj.weight`,
      to: split
        ? `${to}.fusion.output.weight`
        : // Without a split, the released code concatenates the state-space branch first.
          { columns: [`${to}.fusion.branch1.weight`, `${to}.fusion.branch0.weight`] },
    },
    ...linear(`${from}.pre_ff_layernorm`, `${to}.final.norm`),
    ...linear(`${from}.final_proj`, `${to}.final.output`),
  ];
}

/** The released modes: no split, alternating halves, flop-aware and circulating as coded. */
const strategies: Readonly<Record<string, string | undefined>> = { B: 'ae', C: 'fa-code', D: 'fac-code' };

export interface ReleasedModel {
  readonly config: ModelConfig;
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
  const rules = [
    ...ends({ embedding: 'model.embed_tokens', norm: 'model.final_layernorm' }, false),
    ...Array.from({ length: blocks }, (_, block) => blockRules(block, strategy !== undefined)).flat(),
  ];
  return { config, rules };
}
