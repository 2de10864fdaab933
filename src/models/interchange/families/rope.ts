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
  const scaled = readScaling(scaling);
  return scaled ? { theta, scaling: scaled } : { theta };
}

/** How frequencies are lowered, or nothing where they are not. */
function readScaling(fields: Fields): Json | undefined {
  const kind = fields.either('rope_type', 'type');
  switch (fields.text(kind, { or: 'default' })) {
    case 'default':
      return undefined;
    case 'linear':
      return { kind: 'linear', factor: fields.number('factor') };
    case 'llama3':
      return {
        kind: 'llama3',
        factor: fields.number('factor'),
        lowFactor: fields.number('low_freq_factor'),
        highFactor: fields.number('high_freq_factor'),
        originalLength: fields.size('original_max_position_embeddings'),
      };
    default:
      throw fields.fail(kind, `is '${fields.text(kind)}'; known here: default, linear, llama3.`);
  }
}

type Scaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFactor: number;
      readonly highFactor: number;
      readonly originalLength: number;
    };

/** The keys of published checkpoints, which every version reads. Without positions nothing is said. */
export function writeRope(rope: unknown): Json {
  if (typeof rope !== 'object' || rope === null) return {};
  const { theta, scaling } = rope as { readonly theta: number; readonly scaling?: Scaling };
  return { rope_theta: theta, rope_scaling: scaling ? writeScaling(scaling) : null };
}

function writeScaling(scaling: Scaling): Json {
  if (scaling.kind === 'linear') return { rope_type: 'linear', factor: scaling.factor };
  return {
    rope_type: 'llama3',
    factor: scaling.factor,
    low_freq_factor: scaling.lowFactor,
    high_freq_factor: scaling.highFactor,
    original_max_position_embeddings: scaling.originalLength,
  };
}
