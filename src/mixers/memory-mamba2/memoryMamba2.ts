/**
 * Mamba-2 that also reads a transformer block, the memory, which several layers share (Zamba2, Glorioso et al. 2024); see
 * README.md for the mathematics. Shapes: B batch, L length, D width, M features that the memory reads.
 */
import { z } from 'zod';
import type { Tensor } from '../../graph/index.ts';
import { BraidError, describeType } from '../../graph/index.ts';
import type { Adapters, LayerContext } from '../../nn/index.ts';
import { linear, norm, take } from '../../nn/index.ts';
import { add, concat } from '../../ops/index.ts';
import { attention } from '../attention/attention.ts';
import type {
  LayerResult,
  LayerState,
  OptionIssue,
  RegisteredLayer,
  StateShape,
  StateSpec,
} from '../layer.ts';
import { defineLayer } from '../layer.ts';
import { mamba2 } from '../mamba2/mamba2.ts';
import { mlp } from '../mlp/mlp.ts';

const options = z.strictObject({
  /** Layers that name the same memory share its weights. Not given: this layer has its own. */
  memory: z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/, 'letters, digits, - and _ are allowed')
    .optional(),
  /** The memory reads, beside the stream, what is handed over under this name: `embedding` are the embedded tokens. */
  beside: z.string().min(1).optional(),
  /** Rank of what each layer adds to the shared weights of its own. Not given: nothing. */
  adapterRank: z.int().positive().optional(),
  /** Adapt queries, keys and values too, not the MLP alone. */
  adaptAttention: z.boolean().default(false),
  attention: attention.options.prefault({}),
  mlp: mlp.options.prefault({}),
  mamba2: mamba2.options.prefault({}),
});

type Options = z.infer<typeof options>;

/** The layers inside, under the names of their options. */
const inside = { attention, mlp, mamba2 } as const;

type Inside = keyof typeof inside;

function check(given: Options, width: number): OptionIssue[] {
  return (Object.keys(inside) as Inside[]).flatMap((name) =>
    inside[name]
      .check(given[name], width)
      .map(({ option, message }) => ({ option: `${name}.${option}`, message })),
  );
}

/** States of the layers inside carry their names in front. */
function states(given: Options, shape: StateShape): StateSpec[] {
  return (Object.keys(inside) as Inside[]).flatMap((name) =>
    inside[name].states(given[name], shape).map((spec) => ({ ...spec, name: `${name}.${spec.name}` })),
  );
}

function partOf(state: LayerState | undefined, name: Inside): LayerState | undefined {
  if (!state) return undefined;
  const start = `${name}.`;
  const own = Object.entries(state).filter(([key]) => key.startsWith(start));
  return Object.fromEntries(own.map(([key, tensor]) => [key.slice(start.length), tensor]));
}

function named(state: LayerState | undefined, name: Inside): LayerState {
  const entries = Object.entries(state ?? {});
  return Object.fromEntries(entries.map(([key, tensor]) => [`${name}.${key}`, tensor]));
}

/** [B, L, M]: the stream, and what stands beside it. */
function reading(x: Tensor, { beside }: Options, context: LayerContext): Tensor {
  if (beside === undefined) return x;
  const { stream } = take(context, beside);
  const tensor = typeof stream === 'object' ? stream : undefined;
  if (tensor?.shape.length === 3 && tensor.shape[1] === x.shape[1]) return concat([x, tensor]);
  const found = tensor ? describeType(tensor) : 'something else';
  throw new BraidError(
    'config',
    `${context.graph.location.path} reads '${beside}' beside its input ${describeType(x)}, but finds ${found}.`,
  );
}

/** What the memory says: norm, attention, norm, MLP, with no residual of its own. */
function recall(
  x: Tensor,
  given: Options,
  context: LayerContext,
  state: LayerState | undefined,
): LayerResult {
  const { graph } = context;
  const { path } = graph.location;
  const read = reading(x, given, context);
  const alone = { ...context, residual: undefined, normalizeOutput: false };
  const adapt = (inputs: Adapters['inputs']): LayerContext => {
    const { adapterRank: rank } = given;
    return rank === undefined ? alone : { ...alone, adapters: { rank, path: `${path}.adapters`, inputs } };
  };
  const run = (name: Inside, tensor: Tensor, inputs: Adapters['inputs']): LayerResult =>
    graph.scope(name, () =>
      layerOf(name).forward(norm(tensor, 'norm', alone), given[name], adapt(inputs), partOf(state, name)),
    );
  const at = given.memory === undefined ? `${path}.memory` : `memory.${given.memory}`;
  return graph.at({ ...graph.location, path: at }, () => {
    const projections = { query: 'query', key: 'key', value: 'value' };
    const attended = run('attention', read, given.adaptAttention ? projections : {});
    // The gate and what it lets through have one projection in.
    const { output } = run('mlp', attended.output, { gate: 'hidden', up: 'hidden' });
    return { output, state: named(attended.state, 'attention') };
  });
}

function layerOf(name: Inside): RegisteredLayer {
  return inside[name];
}

function forward(x: Tensor, given: Options, context: LayerContext, state?: LayerState): LayerResult {
  const recalled = recall(x, given, context, state);
  const link = linear(recalled.output, 'link', context.width, context);
  const { graph } = context;
  const mixed = graph.scope('mamba2', () =>
    mamba2.forward(norm(add(x, link), 'norm', context), given.mamba2, context, partOf(state, 'mamba2')),
  );
  if (!state) return { output: mixed.output };
  return { output: mixed.output, state: { ...recalled.state, ...named(mixed.state, 'mamba2') } };
}

const small = {
  attention: { heads: 2, headDim: 2, scales: { key: 4 } },
  mlp: { kind: 'geglu-erf', width: 5 },
  mamba2: { headDim: 2, state: 2, chunk: 3 },
};

export const memoryMamba2 = defineLayer<Options>({
  name: 'memory-mamba2',
  kind: 'mixer',
  summary: 'Mamba-2 that also reads a transformer block shared between layers (Zamba2)',
  options,
  ownNorm: true,
  check,
  states,
  meaning(given, width) {
    const parts = (Object.keys(inside) as Inside[]).map((name) => {
      return [name, inside[name].meaning(given[name], width)] as const;
    });
    return { ...given, ...Object.fromEntries(parts) };
  },
  needsPositions: (given) => attention.needsPositions(given.attention),
  forward,
  conformance: [
    { label: 'a memory of its own', width: 4, options: options.parse(small), lengths: [4, 7] },
    {
      label: 'a shared memory with adapters and rotary positions',
      width: 4,
      options: options.parse({
        ...small,
        ...{ memory: 'a', adapterRank: 2, adaptAttention: true },
        attention: { heads: 2, headDim: 4, kvHeads: 1, rope: { theta: 100 }, scales: { key: 1.5 } },
      }),
      lengths: [4],
    },
  ],
});
