/**
 * Causal softmax attention with grouped key-value heads; see README.md for the mathematics.
 * Shapes: B batch, L length, D width, H heads, G key-value heads, E features per head, F features per value, S keys, C
 * capacity of the cache.
 */
import type { Tensor } from '../../graph/index.ts';
import { BraidError, describeType } from '../../graph/index.ts';
import type { HandedOver, LayerContext } from '../../nn/index.ts';
import { linear, offer, outputProjection, scaled, take } from '../../nn/index.ts';
import { advance, append, attention as attend, reshape, rope } from '../../ops/index.ts';
import type { LayerResult, LayerState, StateShape, StateSpec } from '../layer.ts';
import { defineLayer, stateTensor } from '../layer.ts';
import type { AttentionOptions } from './options.ts';
import { attentionOptions, attentionSizes, checkAttention } from './options.ts';

/** What a query attends to. */
interface Memory extends HandedOver {
  /** [B, S, G, E] */
  readonly keys: Tensor;
  /** [B, S, G, F] */
  readonly values: Tensor;
  /** [B, S], where rows are packed. */
  readonly keyDocuments?: Tensor | undefined;
  /** [B]: entries of the cache before this piece; without a cache S = L. */
  readonly used?: Tensor | undefined;
}

function states(given: AttentionOptions, { batch, width, capacity, documents }: StateShape): StateSpec[] {
  if (given.keysFrom !== undefined) return [];
  const { kvHeads, headDim, valueDim } = attentionSizes(given, width);
  const cache = (name: string, ...rest: number[]): StateSpec => ({
    name,
    kind: 'append',
    shape: [batch, capacity, ...rest],
    dtype: 'float32',
  });
  return [
    cache('keys', kvHeads, headDim),
    cache('values', kvHeads, valueDim),
    { name: 'used', kind: 'recurrent', shape: [batch], dtype: 'int32' },
    ...(documents ? [{ ...cache('documents'), dtype: 'int32' as const }] : []),
  ];
}

/** One projection by heads: [B, L, count, size]. */
function project(
  x: Tensor,
  name: string,
  [count, size]: readonly [count: number, size: number],
  given: AttentionOptions,
  context: LayerContext,
): Tensor {
  const { batch, length } = context;
  const scale = name === 'key' ? (given.scales?.key ?? 1) : 1;
  const heads = linear(x, name, count * size, context, { bias: given.bias, scale });
  return reshape(heads, [batch, length, count, size]);
}

function rotate(heads: Tensor, given: AttentionOptions, { positions, documents }: LayerContext): Tensor {
  if (!given.rope) return heads;
  const { theta, share, scaling } = given.rope;
  const dimensions = share === 1 ? undefined : heads.shape[3] * share;
  return rope(heads, positions, { theta, documents, dimensions, scaling });
}

/** Keys and values of the layer itself, appended to its cache where there is one. */
function ownMemory(
  x: Tensor,
  given: AttentionOptions,
  context: LayerContext,
  state: LayerState | undefined,
): Memory {
  const { kvHeads, headDim, valueDim } = attentionSizes(given, context.width);
  const { documents } = context;
  const keys = rotate(project(x, 'key', [kvHeads, headDim], given, context), given, context);
  const values = project(x, 'value', [kvHeads, valueDim], given, context);
  if (!state) return { keys, values, keyDocuments: documents };
  const used = stateTensor(state, 'used');
  return {
    keys: append(stateTensor(state, 'keys'), keys, used),
    values: append(stateTensor(state, 'values'), values, used),
    keyDocuments: documents && append(stateTensor(state, 'documents'), documents, used),
    used,
  };
}

/** Keys and values that an earlier layer offers under a name. */
function sharedMemory(name: string, given: AttentionOptions, context: LayerContext): Memory {
  const { keys, values, keyDocuments, used } = take(context, name);
  const { kvHeads, headDim, valueDim } = attentionSizes(given, context.width);
  const fits = (tensor: Tensor | undefined, size: number): boolean =>
    tensor?.shape[2] === kvHeads && tensor.shape[3] === size;
  if (!keys || !values || !fits(keys, headDim) || !fits(values, valueDim)) {
    const found = keys && values ? `${describeType(keys)} and ${describeType(values)}` : 'something else';
    throw new BraidError(
      'config',
      `${context.graph.location.path} takes the keys and values of ${kvHeads} heads of ${headDim} and ${valueDim} ` +
        `features from '${name}', which are ${found}. Give both layers the same 'kvHeads', 'headDim' and 'valueDim'.`,
    );
  }
  return { keys, values, keyDocuments, used };
}

function forward(
  input: Tensor,
  given: AttentionOptions,
  context: LayerContext,
  state?: LayerState,
): LayerResult {
  const { batch, length, documents } = context;
  const { heads, headDim, valueDim } = attentionSizes(given, context.width);
  const x = scaled(input, given.scales?.input);
  const q = rotate(project(x, 'query', [heads, headDim], given, context), given, context);
  const shared = given.keysFrom === undefined ? undefined : sharedMemory(given.keysFrom, given, context);
  const memory = shared ?? ownMemory(x, given, context, state);
  if (given.offersKeys !== undefined) offer(context, given.offersKeys, memory);

  const { keys, values, keyDocuments, used } = memory;
  const sight = { window: given.window, sinks: given.sinks === 0 ? undefined : given.sinks };
  const { out } = attend(
    { q, k: keys, v: values, queryDocuments: keyDocuments && documents, keyDocuments, used },
    sight,
  );
  const { bias, outputBias = bias, scales } = given;
  const output = outputProjection(reshape(out, [batch, length, heads * valueDim]), context, 'output', {
    bias: outputBias,
    scale: scales?.output ?? 1,
  });
  if (!state) return { output };
  if (shared || !used) return { output, state: {} };
  return {
    output,
    state: {
      keys,
      values,
      used: advance(used, length),
      ...(keyDocuments ? { documents: keyDocuments } : {}),
    },
  };
}

export const attention = defineLayer<AttentionOptions>({
  name: 'attention',
  kind: 'mixer',
  summary: 'causal softmax attention: grouped heads, rotary positions or none, windows, shared keys',
  options: attentionOptions,
  check: checkAttention,
  states,
  needsPositions: (given) => given.rope !== false,
  forward,
  conformance: [
    {
      label: 'grouped heads without positions',
      width: 8,
      options: attentionOptions.parse({ heads: 4, kvHeads: 2 }),
      lengths: [5, 8],
    },
    {
      label: 'rotary positions and own head size',
      width: 6,
      options: attentionOptions.parse({ heads: 2, headDim: 4, rope: { theta: 100 } }),
      lengths: [7],
    },
    {
      label: 'biases, constant factors, a part turned by scaled frequencies, wider values',
      width: 5,
      options: attentionOptions.parse({
        ...{ heads: 3, kvHeads: 1, headDim: 4, valueDim: 6, bias: true },
        scales: { input: 0.5, key: 2, output: 1.5 },
        rope: { theta: 100, share: 0.5, scaling: { kind: 'linear', factor: 3 } },
      }),
      lengths: [4],
    },
    {
      label: 'a window',
      width: 4,
      options: attentionOptions.parse({ heads: 2, window: 3, rope: { theta: 100 } }),
      lengths: [3, 4, 9],
    },
    {
      label: 'a window and sinks',
      width: 4,
      options: attentionOptions.parse({ heads: 2, kvHeads: 1, window: 2, sinks: 2, outputBias: true }),
      lengths: [5, 7],
      crossesDocuments: true,
    },
    {
      label: 'keys and values of an earlier layer',
      width: 4,
      options: attentionOptions.parse({ heads: 2, kvHeads: 1, keysFrom: 'shared', window: 3 }),
      lengths: [5],
      before: [attentionOptions.parse({ heads: 4, headDim: 2, kvHeads: 1, offersKeys: 'shared' })],
    },
  ],
});
