/** Channel mixers of two or three matrices; see README.md. Shapes: B batch, L length, D width, F hidden features. */
import { z } from 'zod';
import type { Tensor } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';
import { linear, outputProjection } from '../../nn/index.ts';
import { defaultHidden, hiddenKind, hiddenUnits } from '../hiddenUnits.ts';
import { defineLayer, factorsThatCount } from '../layer.ts';

const options = z.strictObject({
  kind: hiddenKind.default('swiglu'),
  /** F. Not given: 8/3 of the width with a gate and 4 times the width without, rounded up to a multiple of 16. */
  width: z.int().positive().optional(),
  /** Biases on all projections. */
  bias: z.boolean().default(false),
  /** Constant factors of the gate before its activation, and of the output (Falcon-H1). */
  scales: z.strictObject({ gate: z.number().default(1), output: z.number().default(1) }).optional(),
});

type Options = z.infer<typeof options>;

/** The F features between the two projections. */
function hidden(x: Tensor, given: Options, context: LayerContext): Tensor {
  const { kind, bias, scales, width = defaultHidden(kind, context.width) } = given;
  return hiddenUnits(kind, (name) => {
    const scale = name === 'gate' ? (scales?.gate ?? 1) : 1;
    return linear(x, name, width, context, { bias, scale });
  });
}

export const mlp = defineLayer<Options>({
  name: 'mlp',
  kind: 'channel',
  summary: 'SwiGLU, GeGLU or squared ReLU between two projections',
  options,
  check: () => [],
  states: () => [],
  meaning: (given, width) => ({
    ...given,
    width: given.width ?? defaultHidden(given.kind, width),
    scales: factorsThatCount(given.scales),
  }),
  needsPositions: () => false,
  forward(x, given, context, state) {
    const { bias, scales: { output: scale = 1 } = {} } = given;
    const output = outputProjection(hidden(x, given, context), context, 'down', { bias, scale });
    return state ? { output, state: {} } : { output };
  },
  conformance: [
    { label: 'SwiGLU', width: 6, options: { kind: 'swiglu', width: 10, bias: false }, lengths: [4] },
    { label: 'GeGLU with biases', width: 5, options: { kind: 'geglu', width: 7, bias: true }, lengths: [3] },
    {
      label: 'exact GeGLU, constant factors',
      width: 4,
      options: { kind: 'geglu-erf', width: 5, bias: true, scales: { gate: 1.5, output: 0.5 } },
      lengths: [4],
    },
    { label: 'squared ReLU', width: 4, options: { kind: 'relu2', bias: false }, lengths: [4] },
  ],
});
