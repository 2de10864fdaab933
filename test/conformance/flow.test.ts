/**
 * What flows where in routed models: FlowHN's split strategies let nothing cross their split, at any depth; chunks do.
 * Three routed blocks of real layers; a dependence is found by changing the input.
 */
import { describe, expect, it } from 'vitest';
import { type Block, buildBlocks, type Routing } from '../../src/blocks/index.ts';
import { testContext } from '../../src/mixers/testing.ts';
import { normals, open, parameterValues } from './evaluate.ts';

const width = 8;

function routedBlock(routing: Routing): Block {
  const mlp = { name: 'mlp', type: 'mlp', options: { width: 8 } };
  const attention = { name: 'attention', type: 'attention', options: { heads: 2 } };
  const mamba1 = { name: 'mamba1', type: 'mamba1', options: { state: 2 } };
  return {
    kind: 'routed',
    branches: [
      { kind: 'term', layers: [attention, mlp] },
      { kind: 'term', layers: [mamba1, mlp] },
    ],
    channels: [],
    fusion: { type: 'concat-project', norm: false },
    routing,
  };
}

async function forward(routing: Routing, length: number, x: Float64Array): Promise<Float64Array> {
  const context = testContext({ width, batch: 1, length });
  const { graph } = context;
  const input = graph.source('input', 'x', [1, length, width]);
  const blocks = [0, 1, 2].map(() => routedBlock(routing));
  const { stream } = buildBlocks(input, blocks, context, { start: 0 });
  const values = new Map<string, ArrayLike<number>>(parameterValues(context.parameters.specs));
  values.set('input/x', x);
  values.set(
    'input/positions',
    Int32Array.from({ length }, (_, i) => i),
  );
  const session = open(graph, { stream });
  const results = await session.run(values);
  session.dispose();
  return results.get('stream') ?? new Float64Array(0);
}

/** Whether an output at or after `split` depends on an input before it. */
async function crosses(routing: Routing, length: number, split: number): Promise<boolean> {
  const x = normals('x', length * width);
  const changed = Float64Array.from(x);
  changed.set(normals('changed', split * width));
  const [before, after] = [await forward(routing, length, x), await forward(routing, length, changed)];
  return before.subarray(split * width).some((value, index) => value !== after[split * width + index]);
}

const balance = 'flops';

describe('flow across the split', () => {
  it.each([
    ['ae', 24, 12],
    ['ae', 25, 12],
    ['fa-code', 24, 14],
    ['fa-code', 25, 14],
    ['fac-code', 24, 12],
  ])('%s at length %d: none across %d', async (strategy, length, split) => {
    expect(await crosses({ strategy, balance }, length, split)).toBe(false);
  });

  it('fa: none across its split, wherever it is', async () => {
    expect(await crosses({ strategy: 'fa', balance, ratio: 0.25 }, 24, 18)).toBe(false);
  });

  it.each([
    ['fac-code at an odd length', { strategy: 'fac-code', balance }, 25, 12],
    ['fac', { strategy: 'fac', balance, ratio: 0.4 }, 24, 12],
    ['chunks', { strategy: 'chunks', balance, chunk: 4 }, 24, 12],
  ] as const)('%s: some', async (_, routing, length, split) => {
    expect(await crosses(routing, length, split)).toBe(true);
  });
});

describe('the released FAC', () => {
  it('is AE, bit for bit, at even lengths and not at odd ones', async () => {
    const ae: Routing = { strategy: 'ae', balance };
    const fac: Routing = { strategy: 'fac-code', balance };
    const even = normals('x', 24 * width);
    expect(await forward(fac, 24, even)).toEqual(await forward(ae, 24, even));
    const odd = normals('x', 25 * width);
    expect(await forward(fac, 25, odd)).not.toEqual(await forward(ae, 25, odd));
  });
});
