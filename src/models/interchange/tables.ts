/**
 * Lines that several families share: what a layer's parameters are called in the code of its authors, under `from`, and
 * here, under `to`. Lines of parameters that a model does not have, such as biases, do not count (see mapping.ts).
 */
import type { MappingRule } from './mapping.ts';

/** Weight and bias of a linear layer, or of a norm. */
export function linear(from: string, to: string): readonly MappingRule[] {
  return ['weight', 'bias'].map((name) => ({ from: `${from}.${name}`, to: `${to}.${name}` }));
}

/** One tensor there, several below each other here: their weights, and their biases. */
export function fused(
  from: string,
  to: readonly string[],
  form?: MappingRule['form'],
): readonly MappingRule[] {
  const rows = (name: string): MappingRule['to'] => ({ rows: to.map((part) => `${part}.${name}`) });
  return [
    { from: `${from}.weight`, to: rows('weight'), ...(form ? { form } : {}) },
    { from: `${from}.bias`, to: rows('bias') },
  ];
}

export function attention(from: string, to: string): readonly MappingRule[] {
  return [
    ...linear(`${from}.q_proj`, `${to}.query`),
    ...linear(`${from}.k_proj`, `${to}.key`),
    ...linear(`${from}.v_proj`, `${to}.value`),
    ...linear(`${from}.o_proj`, `${to}.output`),
  ];
}

export function mlp(from: string, to: string): readonly MappingRule[] {
  return [
    ...linear(`${from}.gate_proj`, `${to}.gate`),
    ...linear(`${from}.up_proj`, `${to}.up`),
    ...linear(`${from}.down_proj`, `${to}.down`),
  ];
}

/** A router and a matrix per expert there, one tensor of all experts here. */
export function experts(from: string, to: string, count: number): readonly MappingRule[] {
  const projections = ['gate', 'up', 'down'];
  const slices = projections.flatMap((name) =>
    Array.from({ length: count }, (_, index): MappingRule => {
      const slice = `${to}.experts.${name}.weight`;
      return { from: `${from}.experts.${index}.${name}_proj.weight`, to: { slice, index } };
    }),
  );
  return [...linear(`${from}.router`, `${to}.router`), ...slices];
}

/** Mamba-1, with Jamba's norms where the model has them. */
export function mamba1(from: string, to: string): readonly MappingRule[] {
  return [
    // One matrix there: first what the convolution reads, then the gate.
    ...fused(`${from}.in_proj`, [`${to}.input`, `${to}.gate`]),
    ...fused(`${from}.conv1d`, [`${to}.convolution`], 'convolution'),
    ...linear(`${from}.x_proj`, `${to}.selection`),
    ...linear(`${from}.dt_layernorm`, `${to}.dtNorm`),
    ...linear(`${from}.b_layernorm`, `${to}.bNorm`),
    ...linear(`${from}.c_layernorm`, `${to}.cNorm`),
    ...linear(`${from}.dt_proj`, `${to}.dt`),
    { from: `${from}.A_log`, to: `${to}.aLog` },
    { from: `${from}.D`, to: `${to}.d` },
    ...linear(`${from}.out_proj`, `${to}.output`),
  ];
}

/** Mamba-2: the projections and the convolutions are one matrix each there. */
export function mamba2(from: string, to: string): readonly MappingRule[] {
  const projections = ['gate', 'input', 'b', 'c', 'dt'].map((name) => `${to}.${name}`);
  const convolutions = ['convolution', 'bConvolution', 'cConvolution'].map((name) => `${to}.${name}`);
  return [
    ...fused(`${from}.in_proj`, projections),
    ...fused(`${from}.conv1d`, convolutions, 'convolution'),
    { from: `${from}.A_log`, to: `${to}.aLog` },
    { from: `${from}.D`, to: `${to}.d` },
    { from: `${from}.dt_bias`, to: `${to}.dtBias` },
    ...linear(`${from}.norm`, `${to}.gateNorm`),
    ...linear(`${from}.out_proj`, `${to}.output`),
  ];
}

/** Embedding, last norm and head. With a tied head the head may stand in the file again. */
export function ends(
  names: { readonly embedding: string; readonly norm: string },
  tied: boolean,
): readonly MappingRule[] {
  return [
    {
      from: `${names.embedding}.weight`,
      to: 'embedding.weight',
      ...(tied ? { copies: ['lm_head.weight'] } : {}),
    },
    { from: `${names.norm}.weight`, to: 'finalNorm.weight' },
    { from: 'lm_head.weight', to: 'head.weight' },
  ];
}
