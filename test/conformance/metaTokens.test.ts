/** The laws of sequences for a model with meta tokens: packed documents, pieces, rows, causality, gradients. */
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../src/compiler/index.ts';
import { Graph, type Tensor } from '../../src/graph/index.ts';
import { buildModel, type ModelOptions, parseModelConfig } from '../../src/models/index.ts';
import { dot } from '../../src/ops/index.ts';
import type { Executor } from '../../src/runtime/index.ts';
import { createNativeExecutor, inspectNative } from '../../src/runtime/index.ts';
import { exact, normals, open, parameterValues, relativeError } from './evaluate.ts';

const width = 8;
const attention = { heads: 2, kvHeads: 1, rope: { theta: 100 }, sinks: 3 };
const model = parseModelConfig({
  pattern: '(attention & mamba1)+mlp (near & mamba1)+mlp',
  ...{ width, vocabulary: 11, metaTokens: 3, attention },
  near: { type: 'attention', window: 2 },
  mamba1: { state: 2, chunk: 4 },
  mlp: { width: 12 },
  fusion: { type: 'mean', norm: true },
});

const tokens = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 10, 8, 9, 7];

interface Rows {
  readonly ids: readonly number[];
  readonly batch?: number;
  readonly documents?: readonly number[];
  readonly options?: Partial<ModelOptions>;
  /** States before; those after come back. */
  readonly states?: Map<string, ArrayLike<number>>;
  readonly executor?: Executor;
}

/** The hidden features [B, L, D] of rows. */
async function hidden({
  ids,
  batch = 1,
  documents,
  options = {},
  states,
  executor,
}: Rows): Promise<Float64Array> {
  const graph = new Graph();
  const length = ids.length / batch;
  const start = options.start ?? 0;
  const built = buildModel(graph, model, { batch, length, documents: documents !== undefined, ...options });
  const values = new Map<string, ArrayLike<number>>(parameterValues(built.parameters));
  values.set('input/ids', ids);
  values.set(
    'input/positions',
    ids.map((_, index) => start + (index % length)),
  );
  if (documents) values.set('input/documents', documents);
  const after: Record<string, Tensor> = {};
  for (const [source, value] of graph.assignments) {
    const zeros = new Float64Array(source.shape.reduce((product, extent) => product * extent, 1));
    values.set(`state/${source.name}`, states?.get(source.name) ?? zeros);
    after[`state ${source.name}`] = value;
  }
  graph.assignments.clear();
  const session = open(graph, { y: built.hidden, ...after }, executor ?? exact);
  const results = await session.run(values);
  session.dispose();
  for (const name of Object.keys(after)) states?.set(name.slice('state '.length), results.get(name) ?? []);
  return results.get('y') ?? new Float64Array(0);
}

const part = (y: Float64Array, from: number, to: number): Float64Array =>
  y.subarray(from * width, to * width);

describe('a model with meta tokens', () => {
  it('gives as many features as tokens, which the meta tokens change', async () => {
    const y = await hidden({ ids: tokens });
    expect(y).toHaveLength(tokens.length * width);
    const bare = parseModelConfig({ ...model, metaTokens: 0 });
    const graph = new Graph();
    const built = buildModel(graph, bare, { batch: 1, length: tokens.length, documents: false });
    const values = new Map<string, ArrayLike<number>>(parameterValues(built.parameters));
    values.set('input/ids', tokens).set('input/positions', Array.from(tokens.keys()));
    const without = await open(graph, { y: built.hidden }).run(values);
    // Far behind them too, past the window.
    const last = part(y, tokens.length - 1, tokens.length);
    expect(
      relativeError(last, part(without.get('y') ?? new Float64Array(0), tokens.length - 1, tokens.length)),
    ).toBeGreaterThan(1e-3);
  });

  it('reads packed documents as the same ones alone', async () => {
    const starts = [0, 1, 4, 9];
    const documents = tokens.map((_, index) => starts.filter((start) => start <= index).at(-1) ?? 0);
    const packed = await hidden({ ids: tokens, documents });
    for (const [index, start] of starts.entries()) {
      const end = starts[index + 1] ?? tokens.length;
      const alone = await hidden({ ids: tokens.slice(start, end) });
      expect(relativeError(part(packed, start, end), alone), `document at ${start}`).toBeLessThan(1e-12);
    }
  });

  it('reads rows of a batch as they are alone', async () => {
    const half = tokens.length / 2;
    const both = await hidden({ ids: tokens, batch: 2 });
    for (const row of [0, 1]) {
      const alone = await hidden({ ids: tokens.slice(row * half, (row + 1) * half) });
      expect(relativeError(part(both, row * half, (row + 1) * half), alone)).toBeLessThan(1e-12);
    }
  });

  it.each([[[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]], [[5]], [[1, 9]], [[3, 4, 12]]])(
    'goes piece by piece as it goes whole: %o',
    async (cuts) => {
      const whole = await hidden({ ids: tokens });
      const states = new Map<string, ArrayLike<number>>();
      let start = 0;
      for (const end of [...cuts, tokens.length]) {
        const options = { start, states: { capacity: tokens.length } };
        const piece = await hidden({ ids: tokens.slice(start, end), options, states });
        expect(relativeError(piece, part(whole, start, end)), `from ${start}`).toBeLessThan(1e-12);
        start = end;
      }
    },
  );

  it('sees nothing of what follows', async () => {
    const whole = await hidden({ ids: tokens });
    const changed = await hidden({ ids: [...tokens.slice(0, 9), 0, 0, 0, 0, 0] });
    expect([...part(changed, 0, 9)]).toEqual([...part(whole, 0, 9)]);
  });

  it('has the gradient of its meta tokens', async () => {
    const graph = new Graph();
    const built = buildModel(graph, model, { batch: 2, length: 7, documents: true });
    const weights = graph.source('input', 'weights', built.hidden.shape);
    const loss = dot(built.hidden, weights);
    const meta = graph.findSource('parameter', 'meta.weight');
    if (!meta) throw new Error('There are no meta tokens.');
    const { graph: both, gradients, map } = differentiate(graph, loss, [meta]);
    const gradient = gradients.get(meta);
    if (!gradient) throw new Error('They have no gradient.');
    const session = open(both, { loss: map(loss), gradient });
    const values = new Map<string, ArrayLike<number>>(parameterValues(built.parameters));
    values.set('input/ids', tokens).set('input/weights', normals('weights', 14 * width));
    values.set(
      'input/positions',
      [...tokens.keys()].map((index) => index % 7),
    );
    values.set('input/documents', [0, 0, 0, 3, 3, 3, 3, 0, 1, 1, 1, 1, 1, 1]);
    const found = (await session.run(values)).get('gradient') ?? new Float64Array(0);
    const at = Float64Array.from(values.get('parameter/meta.weight') ?? []);
    const numeric = new Float64Array(at.length);
    for (let index = 0; index < at.length; index++) {
      const losses: number[] = [];
      for (const step of [1e-5, -1e-5]) {
        const moved = at.map((value, other) => (other === index ? value + step : value));
        const results = await session.run(new Map(values).set('parameter/meta.weight', moved));
        losses.push(results.get('loss')?.[0] ?? Number.NaN);
      }
      const [up, down] = losses;
      numeric[index] = (up - down) / 2e-5;
    }
    session.dispose();
    expect(relativeError(found, numeric)).toBeLessThan(1e-6);
  });

  it('counts them among its parameters outside embedding and head', () => {
    const built = buildModel(new Graph(), model, { batch: 1, length: 2, documents: false });
    expect(built.parameters.find(({ name }) => name === 'meta.weight')?.shape).toEqual([3, width]);
  });

  it('refuses to route them', () => {
    const routed = { pattern: '(attention+mlp | mamba1+mlp)*2', routing: { strategy: 'chunks' } };
    expect(() =>
      parseModelConfig({ ...routed, width: 8, vocabulary: 9, metaTokens: 4, attention: { heads: 2 } }),
    ).toThrow(/metaTokens: is 4, but a block routes tokens/);
  });
});

describe.skipIf(!inspectNative().available)('on native', () => {
  it('gives what the reference gives', async () => {
    const executor = createNativeExecutor({ threads: 2 });
    const documents = tokens.map((_, index) => (index < 5 ? 0 : 5));
    const expected = await hidden({ ids: tokens, documents });
    expect(relativeError(await hidden({ ids: tokens, documents, executor }), expected)).toBeLessThan(1e-5);
  });
});
