/**
 * Mamba-1, the selective state-space layer of Gu and Dao (2023), with Jamba's norms where asked for; see README.md for
 * the mathematics. Shapes: B batch, L length, D width, E inner features, N states per feature, K taps, R rank of the
 * time step.
 */
import { z } from 'zod';
import type { Tensor } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';
import { linear, norm, outputProjection, parameter } from '../../nn/index.ts';
import { glu, matmul, selectiveScan, split } from '../../ops/index.ts';
import { carriedDocument, documentStates } from '../carriedDocument.ts';
import type { LayerResult, LayerState, OptionIssue, StateShape, StateSpec } from '../layer.ts';
import { defineLayer, stateTensor } from '../layer.ts';
import type { ShortConvolution } from '../shortConvolution.ts';
import { shortConvolution, windowState } from '../shortConvolution.ts';
import { timeStepBias } from '../timeStep.ts';

const options = z.strictObject({
  /** N: states per inner feature. */
  state: z.int().min(1).max(64).default(16),
  /** E / D. */
  expand: z.number().positive().default(2),
  /** K: taps of the convolution. */
  convolution: z.int().min(2).max(16).default(4),
  convolutionBias: z.boolean().default(true),
  /** Biases on the projections in and out. */
  bias: z.boolean().default(false),
  /** R: `auto` is D / 16, rounded up. */
  dtRank: z.union([z.literal('auto'), z.int().positive()]).default('auto'),
  /** RMSNorm on the low-rank time step, B and C (Jamba, Lieber et al. 2024). */
  norms: z.boolean().default(false),
  /** Positions between the states that training keeps; it recomputes those between. */
  chunk: z.int().positive().default(64),
});

type Options = z.infer<typeof options>;

interface Sizes {
  readonly inner: number;
  readonly rank: number;
}

function sizes(given: Options, width: number): Sizes {
  return {
    inner: given.expand * width,
    rank: rankOf(given, width),
  };
}

function rankOf({ dtRank }: Pick<Options, 'dtRank'>, width: number): number {
  return dtRank === 'auto' ? Math.ceil(width / 16) : dtRank;
}

function check(given: Options, width: number): OptionIssue[] {
  const { inner } = sizes(given, width);
  if (Number.isInteger(inner)) return [];
  const message = `is ${given.expand}, which makes ${inner} inner features of the width ${width}; it must be whole.`;
  return [{ option: 'expand', message }];
}

function convolutionOf({ convolution, convolutionBias }: Options): ShortConvolution {
  const name = 'convolution';
  return { name, window: 'window', taps: convolution, bias: convolutionBias, activation: 'silu' };
}

function states(given: Options, shape: StateShape): StateSpec[] {
  const { inner } = sizes(given, shape.width);
  return [
    windowState(convolutionOf(given), inner, shape),
    { name: 'scan', kind: 'recurrent', shape: [shape.batch, inner, given.state], dtype: 'float32' },
    ...documentStates(shape),
  ];
}

/** Time step (before its bias), B and C of every position: the selective part. */
function select(x: Tensor, given: Options, context: LayerContext): { dt: Tensor; b: Tensor; c: Tensor } {
  const { inner, rank } = sizes(given, context.width);
  const [low, b, c] = split(linear(x, 'selection', rank + 2 * given.state, context), [
    rank,
    given.state,
    given.state,
  ]);
  const normed = (tensor: Tensor, name: string): Tensor =>
    given.norms ? norm(tensor, name, context) : tensor;
  const reach = rank ** -0.5;
  const weight = parameter(context, 'dt.weight', [inner, rank], {
    kind: 'uniform',
    low: -reach,
    high: reach,
  });
  return {
    dt: matmul(normed(low, 'dtNorm'), weight, { transposeB: true }),
    b: normed(b, 'bNorm'),
    c: normed(c, 'cNorm'),
  };
}

function forward(u: Tensor, given: Options, context: LayerContext, state?: LayerState): LayerResult {
  const { documents } = context;
  const { inner } = sizes(given, context.width);
  const { bias } = given;
  const document = carriedDocument(context, state);

  // The published projection to 2E features as two matrices, so that no half has to be copied out.
  const z = linear(u, 'gate', inner, context, { bias });
  const convolved = shortConvolution(
    linear(u, 'input', inner, context, { bias }),
    convolutionOf(given),
    context,
    state,
  );
  const x = convolved.y;
  const { dt, b, c } = select(x, given, context);
  const scanned = selectiveScan(
    {
      x,
      dt,
      b,
      c,
      aLog: parameter(context, 'aLog', [inner, given.state], { kind: 'logRange' }, false),
      d: parameter(context, 'd', [inner], { kind: 'constant', value: 1 }),
      dtBias: parameter(context, 'dt.bias', [inner], timeStepBias),
      documents,
      state: state && stateTensor(state, 'scan'),
      document,
    },
    { chunk: given.chunk },
  );
  const output = outputProjection(glu(z, scanned.y, { kind: 'silu' }), context, 'output', { bias });
  if (!state) return { output };
  return {
    output,
    state: {
      window: convolved.window,
      scan: scanned.state,
      ...(document ? { document: scanned.document } : {}),
    },
  };
}

export const mamba1 = defineLayer<Options>({
  name: 'mamba1',
  kind: 'mixer',
  summary: 'Mamba-1 selective state space (with norms: as in Jamba)',
  options,
  check,
  states,
  meaning({ chunk: _, ...given }, width) {
    return { ...given, dtRank: rankOf(given, width) };
  },
  needsPositions: () => false,
  forward,
  conformance: [
    {
      label: 'standard',
      width: 6,
      options: options.parse({ state: 3, chunk: 4 }),
      lengths: [4, 5, 9],
    },
    {
      label: 'with norms on dt, B and C',
      width: 5,
      options: options.parse({ state: 4, convolution: 3, dtRank: 5, norms: true, chunk: 3 }),
      lengths: [6, 7],
    },
    {
      label: 'with biases on the projections only',
      width: 3,
      options: options.parse({ state: 2, convolution: 2, convolutionBias: false, bias: true, chunk: 2 }),
      lengths: [4],
    },
  ],
});
