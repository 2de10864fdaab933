/**
 * Rotary positions in `config.json`: `rope_theta` with `rope_scaling` in published checkpoints, `rope_parameters` in those
 * that recent versions of `transformers` write.
 */
import type { Fields, Json } from '../fields.ts';

/** The option `rope` of an attention layer. */
export function readRope(fields: Fields): Json {
  const parameters = fields.section('rope_parameters');
  const scaling = parameters ?? fields.section('rope_scaling');
  const theta = (parameters?.has('rope_theta') ? parameters : fields).number('rope_theta', { or: 10_000 });
  if (!scaling) return { theta };
  const kind = scaling.either('rope_type', 'type');
  switch (scaling.text(kind, { or: 'default' })) {
    case 'default':
      return { theta };
    default:
      throw scaling.fail(kind, 'is not a kind of rotary positions that Braid has; it has default.');
  }
}

export function writeRope(rope: unknown): Json {
  const { theta } = rope as { readonly theta: number };
  return { rope_theta: theta, rope_scaling: null };
}
