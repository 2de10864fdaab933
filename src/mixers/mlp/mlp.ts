/**
 * The gated channel mixer of Shazeer (2020): down(SiLU(gate x) ⊙ up x), without biases; see README.md.
 */
import { z } from 'zod';
import { linear, outputProjection } from '../../nn/index.ts';
import { glu } from '../../ops/index.ts';
import { defineLayer } from '../layer.ts';

const options = z.strictObject({
  /** Hidden features F. Not given: 8/3 of the width, rounded up to a multiple of 16. */
  width: z.int().positive().optional(),
});

type Options = z.infer<typeof options>;

function hiddenWidth(given: Options, width: number): number {
  return given.width ?? Math.ceil((8 * width) / 3 / 16) * 16;
}

export const mlp = defineLayer<Options>({
  name: 'mlp',
  kind: 'channel',
  summary: 'SwiGLU: gate, up and down projections',
  options,
  check: () => [],
  states: () => [],
  needsPositions: () => false,
  forward(x, given, context, state) {
    const hidden = hiddenWidth(given, context.width);
    const gate = linear(x, 'gate', hidden, context);
    const up = linear(x, 'up', hidden, context);
    const output = outputProjection(glu(gate, up, { kind: 'silu' }), context, 'down');
    return state ? { output, state: {} } : { output };
  },
  conformance: [{ label: 'SwiGLU', width: 6, options: { width: 10 }, lengths: [4] }],
});
