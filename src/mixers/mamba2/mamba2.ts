/**
 * Mamba-2, the state-space layer with one decay per head of Dao and Gu (2024); see README.md for the mathematics.
 * Shapes: B batch, L length, D width, H heads, P features per head, E = H · P inner features, G groups of B and C, N
 * states, K taps.
 */
import { z } from 'zod';
import type { Tensor } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';
import { linear, norm, outputProjection, parameter, scaled } from '../../nn/index.ts';
import { glu, multiplyChannels, reshape, rmsNorm, ssd } from '../../ops/index.ts';
import { carriedDocument, documentStates } from '../carriedDocument.ts';
import type { LayerResult, LayerState, OptionIssue, StateShape, StateSpec } from '../layer.ts';
import { defineLayer, factorsThatCount, stateTensor } from '../layer.ts';
import type { ShortConvolution } from '../shortConvolution.ts';
import { shortConvolution, windowState } from '../shortConvolution.ts';
import { timeStepBias } from '../timeStep.ts';

const range = z.tuple([z.number().nonnegative(), z.number().positive()]);

const factor = z.number().default(1);

const options = z.strictObject({
  /** H. Not given: expand · width / headDim. */
  heads: z.int().positive().optional(),
  /** P */
  headDim: z.int().positive().default(64),
  /** E / D, where the heads are not given. */
  expand: z.number().positive().default(2),
  /** N */
  state: z.int().positive().default(128),
  /** G: heads h·G/H … share one B and C. */
  groups: z.int().positive().default(1),
  /** K */
  convolution: z.int().min(2).max(16).default(4),
  convolutionBias: z.boolean().default(true),
  /** Biases on the projections in and out. */
  bias: z.boolean().default(false),
  /** RMSNorm after the gate or before it, or none (Falcon-H1). */
  norm: z.union([z.literal('afterGate'), z.literal('beforeGate'), z.literal(false)]).default('afterGate'),
  /** Parts of the E features that are normed apart. Not given: as many as groups. */
  normGroups: z.int().positive().optional(),
  /** Epsilon of that norm. Not given: the model's. */
  normEpsilon: z.number().positive().optional(),
  /** Constant factors of the input, of its projections and of the output (Falcon-H1). */
  scales: z
    .strictObject({
      input: factor,
      gate: factor,
      x: factor,
      b: factor,
      c: factor,
      dt: factor,
      output: factor,
    })
    .optional(),
  /** Bounds of the time step. Not given: none. */
  dtLimit: range.optional(),
  /** Where −A starts, uniform per head. */
  decay: range.default([1, 16]),
  /** Positions that are worked on together. */
  chunk: z.int().positive().default(64),
});

type Options = z.infer<typeof options>;

interface Sizes {
  readonly heads: number;
  readonly inner: number;
  /** G · N: features of B, and of C. */
  readonly selected: number;
  readonly normGroups: number;
}

function sizes(given: Options, width: number): Sizes {
  const { headDim, expand, groups, state, normGroups = groups } = given;
  const heads = given.heads ?? (expand * width) / headDim;
  return { heads, inner: heads * headDim, selected: groups * state, normGroups };
}

function check(given: Options, width: number): OptionIssue[] {
  const { heads, inner, normGroups } = sizes(given, width);
  const { headDim, groups, expand } = given;
  const issues: OptionIssue[] = [];
  if (!Number.isInteger(heads)) {
    const message =
      `is ${headDim}, which does not divide the ${expand} · ${width} = ${inner} inner features; choose a divisor, or ` +
      `give 'heads'.`;
    return [{ option: 'headDim', message }];
  }
  if (heads % groups !== 0) {
    const message = `is ${groups}, which does not divide the ${heads} heads; choose a divisor of ${heads}.`;
    issues.push({ option: 'groups', message });
  }
  if (inner % normGroups !== 0) {
    const message = `is ${normGroups}, which does not divide the ${inner} inner features; choose a divisor.`;
    issues.push({ option: 'normGroups', message });
  }
  for (const option of ['dtLimit', 'decay'] as const) {
    const [low = 0, high = 0] = given[option] ?? [];
    if (low <= high) continue;
    issues.push({ option, message: `is [${low}, ${high}]; the first number must not be above the second.` });
  }
  if (given.decay[0] === 0) {
    issues.push({ option: 'decay', message: 'starts at 0, but A must be below zero; begin above 0.' });
  }
  return issues;
}

/**
 * The convolution of x, B and C together, in three parts, so that nothing is cut out of a tensor; each part has its
 * projection of the same name.
 */
const parts = {
  input: { name: 'convolution', window: 'window' },
  b: { name: 'bConvolution', window: 'bWindow' },
  c: { name: 'cConvolution', window: 'cWindow' },
} as const;

type Part = keyof typeof parts;

function convolutionOf(part: Part, given: Options): ShortConvolution {
  const { convolution, convolutionBias } = given;
  return { ...parts[part], taps: convolution, bias: convolutionBias, activation: 'silu' };
}

function states(given: Options, shape: StateShape): StateSpec[] {
  const { batch, width } = shape;
  const { heads, inner, selected } = sizes(given, width);
  const scan: StateSpec = {
    name: 'scan',
    kind: 'recurrent',
    shape: [batch, heads, given.headDim, given.state],
    dtype: 'float32',
  };
  return [
    windowState(convolutionOf('input', given), inner, shape),
    windowState(convolutionOf('b', given), selected, shape),
    windowState(convolutionOf('c', given), selected, shape),
    scan,
    ...documentStates(shape),
  ];
}

/** y gated by z and normed as the options say: [B, L, E]. */
function gate(y: Tensor, z: Tensor, given: Options, context: LayerContext): Tensor {
  if (given.norm === 'afterGate') return normGroups(glu(z, y, { kind: 'silu' }), given, context);
  return glu(z, given.norm ? normGroups(y, given, context) : y, { kind: 'silu' });
}

function normGroups(x: Tensor, given: Options, context: LayerContext): Tensor {
  const { inner, normGroups: groups } = sizes(given, context.width);
  const epsilon = given.normEpsilon ?? context.epsilon;
  if (groups === 1) return norm(x, 'gateNorm', { ...context, epsilon });
  const weight = parameter(context, 'gateNorm.weight', [inner], { kind: 'constant', value: 1 });
  const { batch, length } = context;
  const apart = rmsNorm(reshape(x, [batch, length, groups, inner / groups]), undefined, { epsilon });
  return multiplyChannels(reshape(apart, [batch, length, inner]), weight);
}

function forward(u: Tensor, given: Options, context: LayerContext, state?: LayerState): LayerResult {
  const { batch, length, documents } = context;
  const { heads, inner, selected } = sizes(given, context.width);
  const { bias, groups, headDim } = given;
  const document = carriedDocument(context, state);
  const { scales } = given;
  const input = scaled(u, scales?.input);
  const project = (name: string, features: number, scale = 1): Tensor =>
    linear(input, name, features, context, { bias, scale });
  const convolve = (part: Part, features: number): ReturnType<typeof shortConvolution> =>
    shortConvolution(
      project(part, features, scales?.[part === 'input' ? 'x' : part]),
      convolutionOf(part, given),
      context,
      state,
    );

  const z = project('gate', inner, scales?.gate);
  const [x, b, c] = [convolve('input', inner), convolve('b', selected), convolve('c', selected)];
  const [dtLow, dtHigh] = given.dtLimit ?? [];
  const [low, high] = given.decay;
  const scanned = ssd(
    {
      x: reshape(x.y, [batch, length, heads, headDim]),
      dt: project('dt', heads, scales?.dt),
      b: reshape(b.y, [batch, length, groups, given.state]),
      c: reshape(c.y, [batch, length, groups, given.state]),
      aLog: parameter(context, 'aLog', [heads], { kind: 'logUniform', low, high }),
      d: parameter(context, 'd', [heads], { kind: 'constant', value: 1 }),
      dtBias: parameter(context, 'dtBias', [heads], timeStepBias),
      documents,
      state: state && stateTensor(state, 'scan'),
      document,
    },
    { chunk: given.chunk, dtLow, dtHigh },
  );
  const gated = gate(reshape(scanned.y, [batch, length, inner]), z, given, context);
  // A norm after the gate already is the norm before the output projection that fusions ask for.
  const normalizeOutput = context.normalizeOutput && given.norm !== 'afterGate';
  const output = outputProjection(gated, { ...context, normalizeOutput }, 'output', {
    bias,
    scale: scales?.output ?? 1,
  });
  if (!state) return { output };
  return {
    output,
    state: {
      [parts.input.window]: x.window,
      [parts.b.window]: b.window,
      [parts.c.window]: c.window,
      scan: scanned.state,
      ...(document ? { document: scanned.document } : {}),
    },
  };
}

export const mamba2 = defineLayer<Options>({
  name: 'mamba2',
  kind: 'mixer',
  summary: 'Mamba-2: state space with one decay per head, by chunks of matrix products',
  options,
  check,
  states,
  meaning(given, width) {
    const { chunk: _, decay: __, expand: ___, ...rest } = given;
    const { heads, normGroups } = sizes(given, width);
    return { ...rest, heads, normGroups, scales: factorsThatCount(given.scales) };
  },
  needsPositions: () => false,
  forward,
  conformance: [
    {
      label: 'standard',
      width: 4,
      options: options.parse({ headDim: 2, state: 3, chunk: 4 }),
      lengths: [4, 5, 9],
    },
    {
      label: 'groups, biases, bounded steps and a norm before the gate',
      width: 8,
      options: options.parse({
        ...{ heads: 4, headDim: 3, state: 2, groups: 2, convolution: 3, bias: true, chunk: 3 },
        ...{ norm: 'beforeGate', dtLimit: [0.01, 1.5] },
      }),
      lengths: [6, 7],
    },
    {
      label: 'groups with norms of their own',
      width: 4,
      options: options.parse({ heads: 4, headDim: 2, state: 3, groups: 2, convolutionBias: false, chunk: 5 }),
      lengths: [5],
    },
    {
      label: 'gate without a norm, constant factors',
      width: 4,
      options: options.parse({
        ...{ heads: 2, headDim: 3, state: 2, norm: false, bias: true, chunk: 2 },
        scales: { input: 1.1, gate: 0.9, x: 1.3, b: 0.7, c: 1.2, dt: 0.6, output: 0.8 },
      }),
      lengths: [3],
    },
  ],
});
