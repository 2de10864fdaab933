/**
 * What stands between the first and the last matrix of a channel mixer: gated linear units (Shazeer 2020), with SiLU or
 * GELU (in its tanh form, or as defined), or the squared ReLU without a gate (So et al. 2021).
 */
import { z } from 'zod';
import type { Tensor } from '../graph/index.ts';
import { activation, glu } from '../ops/index.ts';

export const hiddenKind = z.enum(['swiglu', 'geglu', 'geglu-erf', 'relu2']);

export type HiddenKind = z.infer<typeof hiddenKind>;

/** What the gate passes through; a kind without one has an activation instead. */
const gates = { swiglu: 'silu', geglu: 'gelu', 'geglu-erf': 'geluErf' } as const;

/** F where it is not given: 8/3 of the width with a gate, 4 times the width without, rounded up to a multiple of 16. */
export function defaultHidden(kind: HiddenKind, width: number): number {
  const wanted = kind === 'relu2' ? 4 * width : (8 * width) / 3;
  return Math.ceil(wanted / 16) * 16;
}

/** The hidden features from projections by name: `up`, and `gate` where the kind has one. */
export function hiddenUnits(kind: HiddenKind, project: (name: 'gate' | 'up') => Tensor): Tensor {
  if (kind === 'relu2') return activation(project('up'), { kind: 'relu2' });
  const gate = project('gate');
  return glu(gate, project('up'), { kind: gates[kind] });
}
