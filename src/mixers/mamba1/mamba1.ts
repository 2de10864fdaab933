/**
 * Mamba-1, the selective state-space layer of Gu and Dao (2023), with Jamba's norms where asked for; see README.md for
 * the mathematics. Shapes: B batch, L length, D width, E inner features, N states per feature, K taps, R rank of the
 * time step.
 */
import { z } from 'zod';
import type { Tensor } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';
import { linear, norm, outputProjection, parameter } from '../../nn/index.ts';
import { causalConvolution, glu, matmul, selectiveScan, split } from '../../ops/index.ts';
import type { LayerResult, LayerState, OptionIssue, StateShape, StateSpec } from '../layer.ts';
import { defineLayer, stateTensor } from '../layer.ts';

const options = z.strictObject({
  /** N: states per inner feature. */
  state: z.int().min(1).max(64).default(16),
  /** E / D. */
  expand: z.number().positive().default(2),
  /** K: taps of the convolution. */
  convolution: z.int().min(2).max(16).default(4),
  /** R: `auto` is D / 16, rounded up. */
  dtRank: z.union([z.literal('auto'), z.int().positive()]).default('auto'),
  /** RMSNorm on the low-rank time step, B and C (Jamba, Lieber et al. 2024). */
  norms: z.boolean().default(false),
  /** Positions between the states that training keeps; it recomputes those between. */
  chunk: z.int().positive().default(64),
});

type Options = z.infer<typeof options>;

/** Bounds of the initial time steps (Gu and Dao 2023, section 3.6). */
const smallestStep = 1e-3;
const largestStep = 0.1;

interface Sizes {
  readonly inner: number;
  readonly rank: number;
}

function sizes(given: Options, width: number): Sizes {
  return {
    inner: given.expand * width,
    rank: given.dtRank === 'auto' ? Math.ceil(width / 16) : given.dtRank,
  };
}

function check(given: Options, width: number): OptionIssue[] {
  const { inner } = sizes(given, width);
  if (Number.isInteger(inner)) return [];
  const message = `is ${given.expand}, which makes ${inner} inner features of the width ${width}; it must be whole.`;
  return [{ option: 'expand', message }];
}

function states(given: Options, { batch, width, documents }: StateShape): StateSpec[] {
  const { inner } = sizes(given, width);
  const specs: StateSpec[] = [
    { name: 'window', kind: 'window', shape: [batch, given.convolution - 1, inner], dtype: 'float32' },
    { name: 'scan', kind: 'recurrent', shape: [batch, inner, given.state], dtype: 'float32' },
  ];
  if (documents) specs.push({ name: 'document', kind: 'recurrent', shape: [batch], dtype: 'int32' });
  return specs;
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
  const document = state && documents ? stateTensor(state, 'document') : undefined;

  // The published projection to 2E features as two matrices, so that no half has to be copied out.
  const z = linear(u, 'gate', inner, context);
  const taps = given.convolution;
  const reach = taps ** -0.5;
  const convolved = causalConvolution(
    {
      x: linear(u, 'input', inner, context),
      weight: parameter(
        context,
        'convolution.weight',
        [inner, taps],
        { kind: 'uniform', low: -reach, high: reach },
        false,
      ),
      bias: parameter(context, 'convolution.bias', [inner], { kind: 'constant', value: 0 }),
      documents,
      window: state && stateTensor(state, 'window'),
      document,
    },
    { activation: 'silu' },
  );
  const x = convolved.y;
  const { dt, b, c } = select(x, given, context);
  const stepBias = { kind: 'inverseSoftplus', low: smallestStep, high: largestStep } as const;
  const scanned = selectiveScan(
    {
      x,
      dt,
      b,
      c,
      aLog: parameter(context, 'aLog', [inner, given.state], { kind: 'logRange' }, false),
      d: parameter(context, 'd', [inner], { kind: 'constant', value: 1 }),
      dtBias: parameter(context, 'dt.bias', [inner], stepBias),
      documents,
      state: state && stateTensor(state, 'scan'),
      document,
    },
    { chunk: given.chunk },
  );
  const output = outputProjection(glu(z, scanned.y, { kind: 'silu' }), context);
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
  needsPositions: () => false,
  forward,
  conformance: [
    {
      label: 'standard',
      width: 6,
      options: { state: 3, expand: 2, convolution: 4, dtRank: 'auto', norms: false, chunk: 4 },
      lengths: [4, 5, 9],
    },
    {
      label: 'with norms on dt, B and C',
      width: 5,
      options: { state: 4, expand: 2, convolution: 3, dtRank: 5, norms: true, chunk: 3 },
      lengths: [6, 7],
    },
  ],
});
