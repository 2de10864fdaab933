/**
 * Mamba and Mamba-2 as their authors' package writes them (`state-spaces/mamba-130m`): a configuration without
 * `model_type`, and the embedding in the singular. Only read: `transformers` names are what others expect today.
 */
import type { Family } from '../family.ts';
import type { Fields, Json } from '../fields.ts';
import { Fields as Section } from '../fields.ts';
import { ends, linear, mamba1, mamba2 } from '../tables.ts';
import { readRank } from './mamba.ts';

/** Whether a configuration without `model_type` is of this kind. */
export function isStateSpaces(fields: Fields): boolean {
  return fields.has('d_model') && fields.has('n_layer');
}

function readMamba1(ssm: Fields, width: number): Json {
  return {
    state: ssm.size('d_state', { or: 16 }),
    expand: ssm.number('expand', { or: 2 }),
    convolution: ssm.size('d_conv', { or: 4 }),
    convolutionBias: ssm.flag('conv_bias', { or: true }),
    bias: ssm.flag('bias', { or: false }),
    dtRank: readRank(ssm, 'dt_rank', width),
  };
}

function readMamba2(ssm: Fields, width: number): Json {
  const inner = ssm.number('expand', { or: 2 }) * width;
  // Fewer state-space features than inner ones would leave room for an MLP inside the layer.
  ssm.only('d_ssm', inner);
  ssm.only('D_has_hdim', false);
  const headDim = ssm.size('headdim', { or: 64 });
  return {
    heads: inner / headDim,
    headDim,
    state: ssm.size('d_state', { or: 128 }),
    groups: ssm.size('ngroups', { or: 1 }),
    convolution: ssm.size('d_conv', { or: 4 }),
    convolutionBias: ssm.flag('conv_bias', { or: true }),
    bias: ssm.flag('bias', { or: false }),
    norm: ssm.flag('rmsnorm', { or: true })
      ? ssm.flag('norm_before_gate', { or: false })
        ? 'beforeGate'
        : 'afterGate'
      : false,
  };
}

export const stateSpaces: Family = {
  name: 'state-spaces',
  summary: 'mamba1 or mamba2, every block a mixer alone, in the names of its authors (only read)',
  forms: ['mamba1', 'mamba2'],
  read(fields) {
    fields.only('rms_norm', true);
    fields.only('d_intermediate', 0);
    const attending = fields.has('attn_layer_idx') ? fields.list('attn_layer_idx') : [];
    if (attending.length > 0)
      throw fields.fail('attn_layer_idx', 'names attention layers, which are not read here.');
    const width = fields.size('d_model');
    const ssm = fields.section('ssm_cfg') ?? new Section(fields.path, {}, 'ssm_cfg.');
    ssm.only('layer', 'Mamba1', 'Mamba2');
    const second = ssm.is('layer', 'Mamba2');
    const multiple = fields.size('pad_vocab_size_multiple', { or: 8 });
    const type = second ? 'mamba2' : 'mamba1';
    return {
      pattern: `${type}*${fields.size('n_layer')}`,
      width,
      vocabulary: Math.ceil(fields.size('vocab_size') / multiple) * multiple,
      tiedHead: fields.flag('tie_embeddings', { or: true }),
      normEpsilon: fields.number('norm_epsilon', { or: 1e-5 }),
      [type]: second ? readMamba2(ssm, width) : readMamba1(ssm, width),
    };
  },
  rules: ({ config, blocks }) => [
    ...ends({ embedding: 'backbone.embedding', norm: 'backbone.norm_f' }, config.tiedHead),
    ...blocks.flatMap(({ layers: [{ path, layer }] }, index) => {
      const from = `backbone.layers.${index}`;
      const mixer = layer.type === 'mamba2' ? mamba2 : mamba1;
      return [...linear(`${from}.norm`, `${path}.norm`), ...mixer(`${from}.mixer`, path)];
    }),
  ],
};
