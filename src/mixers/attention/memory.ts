/**
 * What the queries of a piece attend to: keys and values of the layer itself, behind those of its cache where it has one,
 * or those that an earlier layer offers. Shapes: B batch, L length, G key-value heads, E features per key, F per value, S
 * entries, C capacity of the cache.
 */
import type { Tensor } from '../../graph/index.ts';
import { BraidError, describeType } from '../../graph/index.ts';
import type { HandedOver, LayerContext } from '../../nn/index.ts';
import { linear, take } from '../../nn/index.ts';
import { advance, append, reshape, rope, slide } from '../../ops/index.ts';
import type { LayerState, StateShape, StateSpec } from '../layer.ts';
import { stateTensor } from '../layer.ts';
import type { AttentionOptions } from './options.ts';
import { attentionSizes } from './options.ts';

/** Which of the entries a query sees besides being before it. */
interface Sight {
  readonly window: number | undefined;
  readonly sinks: number | undefined;
}

export interface Memory extends HandedOver {
  /** [B, S, G, E] */
  readonly keys: Tensor;
  /** [B, S, G, F] */
  readonly values: Tensor;
  /** [B, S], where rows are packed. */
  readonly keyDocuments?: Tensor | undefined;
  /** [B]: entries before this piece; without a cache S = L. */
  readonly used?: Tensor | undefined;
  /** The window of the layer that has the keys, where it has one; then also its sinks. */
  readonly window?: number | undefined;
  readonly sinks: number;
  /** The entries are those of the window and the sinks already, in no order: the one query sees them all. */
  readonly cut: boolean;
}

/** Keys and values of a layer, and its state after the piece. */
export interface OwnMemory {
  readonly memory: Memory;
  readonly state?: LayerState;
}

/** Entries that a query can ever see; infinite without a window. */
function visible({ window = Number.POSITIVE_INFINITY, sinks }: AttentionOptions): number {
  return window + sinks;
}

export function memoryStates(given: AttentionOptions, shape: StateShape): StateSpec[] {
  if (given.keysFrom !== undefined) return [];
  const { batch, width, documents } = shape;
  const { kvHeads, headDim, valueDim } = attentionSizes(given, width);
  const capacity = Math.min(shape.capacity, visible(given));
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
export function project(
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

export function rotate(
  heads: Tensor,
  given: AttentionOptions,
  { positions, documents }: LayerContext,
): Tensor {
  if (!given.rope) return heads;
  const { theta, share, scaling } = given.rope;
  const dimensions = share === 1 ? undefined : heads.shape[3] * share;
  return rope(heads, positions, { theta, documents, dimensions, scaling });
}

/** Keys and values of the layer itself, in its cache where there is one. */
export function ownMemory(
  x: Tensor,
  given: AttentionOptions,
  context: LayerContext,
  state: LayerState | undefined,
): OwnMemory {
  const { kvHeads, headDim, valueDim } = attentionSizes(given, context.width);
  const { documents, length } = context;
  const { window, sinks } = given;
  const keys = rotate(project(x, 'key', [kvHeads, headDim], given, context), given, context);
  const values = project(x, 'value', [kvHeads, valueDim], given, context);
  if (!state) return { memory: { keys, values, keyDocuments: documents, window, sinks, cut: false } };
  const fresh = { keys, values, ...(documents ? { documents } : {}) };
  const used = stateTensor(state, 'used');
  const capacity = stateTensor(state, 'keys').shape[1];
  const bounded = capacity === visible(given);
  const kept = bounded ? turn(fresh, state, used, sinks) : grow(fresh, state, used);
  // One token needs no order; documents do, as attention looks for their borders.
  const cut = bounded && length === 1 && !documents;
  const entries = cut ? kept.state : kept.ordered;
  return {
    memory: {
      keys: stateTensor(entries, 'keys'),
      values: stateTensor(entries, 'values'),
      keyDocuments: entries.documents,
      used: bounded ? advance(used, 0, cut ? capacity - 1 : capacity) : used,
      window,
      sinks,
      cut,
    },
    state: { ...kept.state, used: advance(used, length) },
  };
}

/** A cache before and after a piece: its new state, and its entries in the order of their positions. */
interface Kept {
  readonly state: LayerState;
  readonly ordered: LayerState;
}

/** A cache that holds everything so far. */
function grow(fresh: LayerState, state: LayerState, used: Tensor): Kept {
  const caches = Object.entries(fresh).map(([name, piece]) => {
    return [name, append(stateTensor(state, name), piece, used)] as const;
  });
  return { state: Object.fromEntries(caches), ordered: Object.fromEntries(caches) };
}

/** A cache that holds what can still be seen, in a ring. */
function turn(fresh: LayerState, state: LayerState, used: Tensor, sinks: number): Kept {
  const caches = Object.entries(fresh).map(([name, piece]) => {
    return [name, slide(stateTensor(state, name), piece, used, { sinks })] as const;
  });
  return {
    state: Object.fromEntries(caches.map(([name, { cache }]) => [name, cache])),
    ordered: Object.fromEntries(caches.map(([name, { ordered }]) => [name, ordered])),
  };
}

/** Keys and values that an earlier layer offers under a name. */
export function sharedMemory(name: string, given: AttentionOptions, context: LayerContext): Memory {
  const { keys, values, keyDocuments, used, window, sinks, cut } = take(context, name);
  const { kvHeads, headDim, valueDim } = attentionSizes(given, context.width);
  const { path } = context.graph.location;
  if (!fits(keys, kvHeads, headDim) || !fits(values, kvHeads, valueDim) || typeof sinks !== 'number') {
    const found =
      typeof keys === 'object' && typeof values === 'object'
        ? `${describeType(keys)} and ${describeType(values)}`
        : 'something else';
    throw new BraidError(
      'config',
      `${path} takes the keys and values of ${kvHeads} heads of ${headDim} and ${valueDim} ` +
        `features from '${name}', which are ${found}. Give both layers the same 'kvHeads', 'headDim' and 'valueDim'.`,
    );
  }
  if (window !== undefined && (window !== given.window || sinks !== given.sinks)) {
    throw new BraidError(
      'config',
      `${path} takes keys from '${name}', whose layer keeps those of its window of ${window} and ${sinks} sinks; it has ` +
        `itself the window ${given.window ?? '(none)'} and ${given.sinks} sinks. Give both layers the same, or the first ` +
        'one no window.',
    );
  }
  return {
    keys,
    values,
    keyDocuments: tensorOf(keyDocuments),
    used: tensorOf(used),
    window: given.window,
    sinks: given.sinks,
    cut: cut === true,
  };
}

type Handed = HandedOver[string];

function tensorOf(value: Handed): Tensor | undefined {
  return typeof value === 'object' ? value : undefined;
}

/** Whether a tensor is [B, S, heads, size]. */
function fits(value: Handed, heads: number, size: number): value is Tensor {
  const shape = tensorOf(value)?.shape;
  return shape?.[2] === heads && shape[3] === size;
}

/** What attention has still to leave out. */
export function sightOf({ window, sinks, cut }: Memory): Sight {
  if (cut) return { window: undefined, sinks: undefined };
  return { window, sinks: sinks === 0 ? undefined : sinks };
}
