/**
 * Causal softmax attention with grouped key-value heads; see README.md for the mathematics.
 * Shapes: B batch, L length, D width, H heads, G key-value heads, E features per head, C capacity of the cache.
 */
import { z } from 'zod';
import type { Tensor } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';
import { linear, outputProjection } from '../../nn/index.ts';
import { advance, append, attention as attend, reshape, rope } from '../../ops/index.ts';
import type { LayerResult, LayerState, OptionIssue, StateShape, StateSpec } from '../layer.ts';
import { defineLayer, stateTensor } from '../layer.ts';

const options = z.strictObject({
  heads: z.int().positive().default(8),
  /** Query heads h·G/H … share one key-value head. Not given: as many as heads. */
  kvHeads: z.int().positive().optional(),
  /** Not given: width / heads. */
  headDim: z.int().positive().optional(),
  /** Rotary positions (Su et al. 2021), or none: hybrids get their order from the state-space layers. */
  rope: z
    .union([z.literal(false), z.strictObject({ theta: z.number().positive().default(10_000) })])
    .default(false),
});

type Options = z.infer<typeof options>;

interface Sizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

function sizes(given: Options, width: number): Sizes {
  const { heads, kvHeads = heads, headDim = width / heads } = given;
  return { heads, kvHeads, headDim };
}

function check(given: Options, width: number): OptionIssue[] {
  const { heads, kvHeads, headDim } = sizes(given, width);
  const issues: OptionIssue[] = [];
  if (!Number.isInteger(headDim)) {
    const message = `is ${heads}, which does not divide the width ${width}; choose a divisor of it, or give 'headDim'.`;
    issues.push({ option: 'heads', message });
  } else if (given.rope && headDim % 2 !== 0) {
    const message = `needs an even number of features per head; there are ${headDim}. Change 'heads' or 'headDim'.`;
    issues.push({ option: 'rope', message });
  }
  if (heads % kvHeads !== 0) {
    const message = `is ${kvHeads}, which does not divide the ${heads} heads; choose a divisor of ${heads}.`;
    issues.push({ option: 'kvHeads', message });
  }
  return issues;
}

function states(given: Options, { batch, width, capacity, documents }: StateShape): StateSpec[] {
  const { kvHeads, headDim } = sizes(given, width);
  const cache = { kind: 'append', shape: [batch, capacity, kvHeads, headDim], dtype: 'float32' } as const;
  const specs: StateSpec[] = [
    { name: 'keys', ...cache },
    { name: 'values', ...cache },
    { name: 'used', kind: 'recurrent', shape: [batch], dtype: 'int32' },
  ];
  if (documents) specs.push({ name: 'documents', kind: 'append', shape: [batch, capacity], dtype: 'int32' });
  return specs;
}

function forward(x: Tensor, given: Options, context: LayerContext, state?: LayerState): LayerResult {
  const { batch, length, positions, documents } = context;
  const { heads, kvHeads, headDim } = sizes(given, context.width);

  const project = (name: string, count: number): Tensor =>
    reshape(linear(x, name, count * headDim, context), [batch, length, count, headDim]);
  const rotate = (heads: Tensor): Tensor =>
    given.rope ? rope(heads, positions, { theta: given.rope.theta, documents }) : heads;
  const q = rotate(project('query', heads));
  const k = rotate(project('key', kvHeads));
  const v = project('value', kvHeads);

  const finish = (out: Tensor): Tensor =>
    outputProjection(reshape(out, [batch, length, heads * headDim]), context);
  if (!state) {
    const { out } = attend({ q, k, v, queryDocuments: documents, keyDocuments: documents });
    return { output: finish(out) };
  }
  const used = stateTensor(state, 'used');
  const keys = append(stateTensor(state, 'keys'), k, used);
  const values = append(stateTensor(state, 'values'), v, used);
  const keyDocuments = documents && append(stateTensor(state, 'documents'), documents, used);
  const { out } = attend({ q, k: keys, v: values, queryDocuments: documents, keyDocuments, used });
  return {
    output: finish(out),
    state: {
      keys,
      values,
      used: advance(used, length),
      ...(keyDocuments ? { documents: keyDocuments } : {}),
    },
  };
}

export const attention = defineLayer<Options>({
  name: 'attention',
  kind: 'mixer',
  summary: 'causal softmax attention, grouped key-value heads, rotary positions or none',
  options,
  check,
  states,
  needsPositions: (given) => given.rope !== false,
  forward,
  conformance: [
    {
      label: 'grouped heads without positions',
      width: 8,
      options: { heads: 4, kvHeads: 2, rope: false },
      lengths: [5, 8],
    },
    {
      label: 'rotary positions and own head size',
      width: 6,
      options: { heads: 2, kvHeads: 2, headDim: 4, rope: { theta: 100 } },
      lengths: [7],
    },
  ],
});
