/**
 * Causal softmax attention with grouped key-value heads; see README.md for the mathematics.
 * Shapes: B batch, L length, D width, H heads, F features per value.
 */
import type { Tensor } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';
import { offer, outputProjection, scaled } from '../../nn/index.ts';
import { attention as attend, reshape } from '../../ops/index.ts';
import type { LayerResult, LayerState } from '../layer.ts';
import { defineLayer } from '../layer.ts';
import type { OwnMemory } from './memory.ts';
import { memoryStates, ownMemory, project, rotate, sharedMemory, sightOf } from './memory.ts';
import type { AttentionOptions } from './options.ts';
import { attentionMeaning, attentionOptions, attentionSizes, checkAttention } from './options.ts';

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
  const found: OwnMemory =
    given.keysFrom === undefined
      ? ownMemory(x, given, context, state)
      : { memory: sharedMemory(given.keysFrom, given, context), state: {} };
  const { memory } = found;
  if (given.offersKeys !== undefined) offer(context, given.offersKeys, memory);

  const { keys, values, keyDocuments, used } = memory;
  const { out } = attend(
    { q, k: keys, v: values, queryDocuments: keyDocuments && documents, keyDocuments, used },
    sightOf(memory),
  );
  const { bias, outputBias = bias, scales } = given;
  const output = outputProjection(reshape(out, [batch, length, heads * valueDim]), context, 'output', {
    bias: outputBias,
    scale: scales?.output ?? 1,
  });
  return state && found.state ? { output, state: found.state } : { output };
}

export const attention = defineLayer<AttentionOptions>({
  name: 'attention',
  kind: 'mixer',
  summary: 'causal softmax attention: grouped heads, rotary positions or none, windows, shared keys',
  options: attentionOptions,
  check: checkAttention,
  states: memoryStates,
  meaning: attentionMeaning,
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
    {
      label: 'keys and values of an earlier layer, within its window',
      width: 4,
      options: attentionOptions.parse({ heads: 2, keysFrom: 'shared', window: 3, sinks: 1 }),
      lengths: [7],
      before: [attentionOptions.parse({ heads: 2, offersKeys: 'shared', window: 3, sinks: 1 })],
      crossesDocuments: true,
    },
  ],
});
