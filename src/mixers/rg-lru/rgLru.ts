/**
 * The recurrent block of Griffin (De et al. 2024) around its real-gated linear recurrent unit; see README.md for the
 * mathematics. Shapes: B batch, L length, D width, E recurrent features, H blocks of the gates, K taps.
 */
import { z } from 'zod';
import type { Tensor } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';
import { linear, outputProjection, parameter } from '../../nn/index.ts';
import { advance, blockMatmul, gatedDecay, glu, linearRecurrence } from '../../ops/index.ts';
import { carriedDocument, documentStates } from '../carriedDocument.ts';
import type { LayerResult, LayerState, OptionIssue, StateShape, StateSpec } from '../layer.ts';
import { defineLayer, stateTensor } from '../layer.ts';
import type { ShortConvolution } from '../shortConvolution.ts';
import { shortConvolution, windowState } from '../shortConvolution.ts';

const options = z.strictObject({
  /** E. Not given: the width of the model. */
  width: z.int().positive().optional(),
  /** H: blocks of the gates, each of which sees its own features. */
  heads: z.int().positive().default(8),
  /** K: taps of the convolution. */
  convolution: z.int().min(2).max(16).default(4),
  /** Biases on the projections in and out. */
  bias: z.boolean().default(true),
});

type Options = z.infer<typeof options>;

const featuresOf = (given: Options, width: number): number => given.width ?? width;

function check(given: Options, width: number): OptionIssue[] {
  const features = featuresOf(given, width);
  if (features % given.heads === 0) return [];
  const message = `is ${given.heads}, which does not divide the ${features} recurrent features; choose a divisor of ${features}.`;
  return [{ option: 'heads', message }];
}

function convolutionOf({ convolution }: Options): ShortConvolution {
  return { name: 'convolution', window: 'window', taps: convolution, bias: true, activation: 'none' };
}

function states(given: Options, shape: StateShape): StateSpec[] {
  const features = featuresOf(given, shape.width);
  return [
    windowState(convolutionOf(given), features, shape),
    { name: 'recurrence', kind: 'recurrent', shape: [shape.batch, features], dtype: 'float32' },
    { name: 'used', kind: 'recurrent', shape: [shape.batch], dtype: 'int32' },
    ...documentStates(shape),
  ];
}

/** One gate before its sigmoid: a linear layer per block of features. */
function gate(x: Tensor, name: string, { heads }: Options, context: LayerContext): Tensor {
  const size = x.shape[2] / heads;
  const start = { kind: 'normal', deviation: context.deviation } as const;
  const weight = parameter(context, `${name}.weight`, [heads, size, size], start);
  const bias = parameter(context, `${name}.bias`, [heads, size], { kind: 'constant', value: 0 }, false);
  return blockMatmul(x, weight, { bias });
}

function forward(u: Tensor, given: Options, context: LayerContext, state?: LayerState): LayerResult {
  const { documents, length } = context;
  const { bias } = given;
  const features = featuresOf(given, context.width);
  const document = carriedDocument(context, state);
  const used = state && stateTensor(state, 'used');

  const y = linear(u, 'gate', features, context, { bias });
  const convolved = shortConvolution(
    linear(u, 'input', features, context, { bias }),
    convolutionOf(given),
    context,
    state,
  );
  const x = convolved.y;
  const { a, y: entering } = gatedDecay({
    r: gate(x, 'recurrenceGate', given, context),
    i: gate(x, 'inputGate', given, context),
    x,
    lambda: parameter(context, 'lambda', [features], { kind: 'ringDecay', low: 0.9, high: 0.999 }),
    documents,
    document,
    used,
  });
  const recurrence = state && stateTensor(state, 'recurrence');
  const run = linearRecurrence({ a, x: entering, documents, state: recurrence, document });
  const output = outputProjection(glu(y, run.h, { kind: 'gelu' }), context, 'output', { bias });
  if (!used) return { output };
  return {
    output,
    state: {
      window: convolved.window,
      recurrence: run.state,
      used: advance(used, length),
      ...(document ? { document: run.document } : {}),
    },
  };
}

export const rgLru = defineLayer<Options>({
  name: 'rg-lru',
  kind: 'mixer',
  summary: 'recurrent block of Griffin: convolution and gated linear recurrence',
  options,
  check,
  states,
  meaning: (given, width) => ({ ...given, width: featuresOf(given, width) }),
  needsPositions: () => false,
  forward,
  conformance: [
    {
      label: 'standard',
      width: 8,
      options: options.parse({}),
      lengths: [5, 9],
    },
    {
      label: 'wider inside, without biases',
      width: 4,
      options: options.parse({ width: 6, heads: 2, convolution: 3, bias: false }),
      lengths: [6],
    },
  ],
});
