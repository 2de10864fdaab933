import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { advance, append } from './append.ts';
import { attention } from './attention.ts';
import type { Given } from './sequenceTesting.ts';
import {
  cutAt,
  documentsFrom,
  evaluate,
  gradientErrors,
  numbers,
  positions,
  relativeError,
  row,
} from './sequenceTesting.ts';

interface Case {
  batch: number;
  length: number;
  /** Capacity of the cache; no cache when not given. */
  keys?: number;
  window?: number;
  sinks?: number;
  heads: number;
  groups: number;
  keySize: number;
  valueSize: number;
  documents: boolean;
}

const usual: Case = { batch: 2, length: 6, heads: 4, groups: 2, keySize: 3, valueSize: 2, documents: true };

function build(options: Partial<Case>) {
  const { batch, length, keys, heads, groups, keySize, valueSize, documents, ...sight } = {
    ...usual,
    ...options,
  };
  const capacity = keys ?? length;
  const graph = new Graph();
  const inputs = {
    q: graph.source('input', 'q', [batch, length, heads, keySize]),
    k: graph.source('input', 'k', [batch, capacity, groups, keySize]),
    v: graph.source('input', 'v', [batch, capacity, groups, valueSize]),
    queryDocuments: documents ? graph.source('input', 'queryDocuments', [batch, length], 'int32') : undefined,
    keyDocuments: documents ? graph.source('input', 'keyDocuments', [batch, capacity], 'int32') : undefined,
    used: keys === undefined ? undefined : graph.source('state', 'used', [batch], 'int32'),
  };
  return { graph, ...attention(inputs, sight) };
}

function values(options: Partial<Case>) {
  const { batch, length, keys, heads, groups, keySize, valueSize } = { ...usual, ...options };
  const capacity = keys ?? length;
  const documents = Array.from({ length: batch }, (_, b) => documentsFrom([2 + b, 4], length)).flat();
  return {
    q: numbers(batch * length * heads * keySize, 1),
    k: numbers(batch * capacity * groups * keySize, 2),
    v: numbers(batch * capacity * groups * valueSize, 3),
    queryDocuments: documents,
    keyDocuments: documents,
  };
}

type Operands = ReturnType<typeof values>;

function run(options: Partial<Case>, given: Given) {
  const { graph, out, logsumexp } = build(options);
  const results = evaluate(graph, given, [out, logsumexp]).map((found) => [...found]);
  return { out: results[0], logsumexp: results[1] };
}

function part(given: Operands, batch: number, length: number, start: number, end: number): Operands {
  const cut = (all: ArrayLike<number>): number[] => positions(all, batch, length, start, end);
  return {
    q: Float64Array.from(cut(given.q)),
    k: Float64Array.from(cut(given.k)),
    v: Float64Array.from(cut(given.v)),
    queryDocuments: cut(given.queryDocuments),
    keyDocuments: cut(given.keyDocuments),
  };
}

/** One head of one row by the textbook: the whole matrix of scores, −∞ where masked, softmax, times the values. */
function textbook(q: number[][], k: number[][], v: number[][], scale: number): number[][] {
  return q.map((query, i) => {
    const scores = k.map((key, j) =>
      j > i ? Number.NEGATIVE_INFINITY : scale * query.reduce((sum, value, e) => sum + value * key[e], 0),
    );
    const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
    return v[0].map((_, f) => scores.reduce((sum, score, j) => sum + (Math.exp(score) / total) * v[j][f], 0));
  });
}

describe('attention', () => {
  it('is softmax of the masked scores times the values, each query head on its key-value head', () => {
    const given = values({ batch: 1 });
    const { out } = run({ batch: 1, documents: false }, given);
    const head = (all: Float64Array, heads: number, size: number, h: number): number[][] =>
      Array.from({ length: 6 }, (_, t) =>
        Array.from(all.subarray((t * heads + h) * size, (t * heads + h + 1) * size)),
      );
    const byHead = [0, 1, 2, 3].map((h) => {
      const g = h < 2 ? 0 : 1;
      return textbook(
        head(given.q, 4, 3, h),
        head(given.k, 2, 3, g),
        head(given.v, 2, 2, g),
        1 / Math.sqrt(3),
      );
    });
    const expected = Array.from({ length: 6 }, (_, t) => byHead.map((rows) => rows[t])).flat(2);
    expect(relativeError(out, expected)).toBeLessThan(1e-14);
  });

  /** What an entry of v counts for, in output order: v is one-hot in the key. */
  function seenKeys(options: Partial<Case>, given: Given): number[][] {
    const { length, keys } = { keys: options.length ?? 6, ...usual, ...options };
    const sizes = { batch: 1, heads: 1, groups: 1, valueSize: keys };
    const v = Array.from({ length: keys * keys }, (_, i) => (i % (keys + 1) === 0 ? 1 : 0));
    const { out } = run({ ...options, ...sizes }, { ...values({ ...options, ...sizes }), ...given, v });
    return Array.from({ length }, (_, t) =>
      Array.from({ length: keys }, (_, j) => j).filter((j) => Number(out[t * keys + j]) > 0),
    );
  }

  it('sees the last keys only with a window, and the first ones too with sinks', () => {
    const plain = { length: 5, documents: false };
    expect(seenKeys({ ...plain, window: 2 }, {})).toEqual([[0], [0, 1], [1, 2], [2, 3], [3, 4]]);
    expect(seenKeys({ ...plain, window: 1, sinks: 2 }, {})).toEqual([
      [0],
      [0, 1],
      [0, 1, 2],
      [0, 1, 3],
      [0, 1, 4],
    ]);
    const cached = { length: 2, keys: 7, documents: false, window: 2, sinks: 1 };
    expect(seenKeys(cached, { used: [3] })).toEqual([
      [0, 2, 3],
      [0, 3, 4],
    ]);
  });

  it('sees sinks in whatever document', () => {
    const documents = [0, 0, 2, 2, 2];
    const given = { queryDocuments: documents, keyDocuments: documents };
    expect(seenKeys({ length: 5, documents: true, window: 2, sinks: 1 }, given)).toEqual([
      [0],
      [0, 1],
      [0, 2],
      [0, 2, 3],
      [0, 3, 4],
    ]);
  });

  it.each([{ window: 2 }, { window: 3, sinks: 2 }, { sinks: 3 }])(
    'has the gradient of finite differences with %o',
    (sight) => {
      for (const documents of [false, true]) {
        const { graph, out } = build({ ...sight, documents });
        const errors = gradientErrors(graph, values({}), [out], ['q', 'k', 'v']);
        for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(1e-6);
      }
    },
  );

  it('counts what is seen', () => {
    const model = (options: Partial<Case>): number => {
      const { graph } = build({ batch: 1, heads: 1, groups: 1, documents: false, ...options });
      const [node] = graph.nodes;
      return node.operation.cost(node.inputs, node.outputs, node.attributes).model;
    };
    const pair = 2 * (3 + 2);
    expect(model({ length: 6 })).toBe(21 * pair);
    expect(model({ length: 6, window: 2 })).toBe((1 + 5 * 2) * pair);
    expect(model({ length: 6, window: 2, sinks: 1 })).toBe((1 + 2 + 4 * 3) * pair);
    expect(model({ length: 6, window: 9 })).toBe(21 * pair);
    expect(model({ length: 2, keys: 9, window: 3 })).toBe(2 * 3 * pair);
  });

  it('gives the log-sum-exp of the scaled scores', () => {
    const graph = new Graph();
    const q = graph.source('input', 'q', [1, 2, 1, 1]);
    const k = graph.source('input', 'k', [1, 2, 1, 1]);
    const { logsumexp } = attention({ q, k, v: k }, { scale: 0.5 });
    const [found] = evaluate(graph, { q: [2, 3], k: [1, -1] }, [logsumexp]);
    expect(found[0]).toBeCloseTo(1, 14);
    expect(found[1]).toBeCloseTo(Math.log(Math.exp(1.5) + Math.exp(-1.5)), 14);
  });

  it('keeps finite for scores of any size', () => {
    const given = values({});
    const { out } = run({}, { ...given, q: given.q.map((value) => value * 1e4) });
    for (const value of out) expect(Number.isFinite(value)).toBe(true);
  });

  const gradientCases: Partial<Case>[] = [1, 2, 3, 6].flatMap((length) => [
    { length },
    { length, documents: false, groups: 4 },
    { length, documents: false, groups: 1 },
  ]);
  it.each(gradientCases)('has the gradient of finite differences: %o', (options) => {
    const { graph, out } = build(options);
    const errors = gradientErrors(graph, values(options), [out], ['q', 'k', 'v']);
    for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(1e-6);
  });

  it('has the gradient of finite differences on a cache, and none for entries not yet used', () => {
    const options = { length: 2, keys: 6 };
    const { graph, out } = build(options);
    const keyDocuments = [0, 0, 2, 2, 9, 9, 0, 0, 0, 0, 4, 9];
    const given = { ...values(options), keyDocuments, queryDocuments: [2, 2, 0, 4], used: [2, 3] };
    const errors = gradientErrors(graph, given, [out], ['q', 'k', 'v']);
    for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(1e-6);
  });

  it('reads nothing of a cache behind the piece', () => {
    const options = { length: 2, keys: 6, documents: false };
    const given = { ...values(options), used: [0, 3] };
    const poison = (all: Float64Array, size: number): Float64Array =>
      all.map((value, i) => {
        const b = Math.floor(i / (6 * size));
        return Math.floor(i / size) % 6 < given.used[b] + 2 ? value : Number.NaN;
      });
    const poisoned = { ...given, k: poison(given.k, 6), v: poison(given.v, 4) };
    expect(run(options, poisoned)).toEqual(run(options, given));
  });

  it('lets every row have its own used length', () => {
    const given = { ...values({ length: 2, keys: 6, documents: false }), used: [1, 3] };
    const { out } = run({ length: 2, keys: 6, documents: false }, given);
    given.used.forEach((used, b) => {
      const length = used + 2;
      const own = (all: Float64Array): number[] => positions(row(all, 2, b), 1, 6, 0, length);
      // Queries of the used positions do not matter: only the last two are compared.
      const q = [...new Float64Array(used * 12), ...row(given.q, 2, b)];
      const options = { batch: 1, length, documents: false };
      const whole = run(options, { q, k: own(given.k), v: own(given.v) });
      expect(row(out, 2, b)).toEqual(positions(whole.out, 1, length, used, length));
    });
  });

  it('is the same in pieces on a cache as whole', () => {
    const capacity = 13;
    const piece = (length: number) => {
      const graph = new Graph();
      const state = (name: string, ...rest: number[]) => graph.source('state', name, [2, capacity, ...rest]);
      const used = graph.source('state', 'used', [2], 'int32');
      const queryDocuments = graph.source('input', 'queryDocuments', [2, length], 'int32');
      const oldDocuments = graph.source('state', 'documents', [2, capacity], 'int32');
      const k = append(state('keys', 2, 3), graph.source('input', 'k', [2, length, 2, 3]), used);
      const v = append(state('values', 2, 2), graph.source('input', 'v', [2, length, 2, 2]), used);
      const keyDocuments = append(oldDocuments, queryDocuments, used);
      const q = graph.source('input', 'q', [2, length, 4, 3]);
      const { out } = attention({ q, k, v, queryDocuments, keyDocuments, used });
      return { graph, results: [out, k, v, keyDocuments, advance(used, length)] };
    };
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.integer({ min: 1, max: 11 }), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 11 }), { maxLength: 12 }),
        (length, cuts, starts) => {
          const documents = [...documentsFrom(starts, length), ...documentsFrom([], length)];
          const given = { ...values({ length }), queryDocuments: documents, keyDocuments: documents };
          const whole = run({ length }, given);
          let carried: Given = {
            keys: new Float64Array(2 * capacity * 6).fill(Number.NaN),
            values: new Float64Array(2 * capacity * 4).fill(Number.NaN),
            documents: new Int32Array(2 * capacity).fill(-1),
            used: [0, 0],
          };
          for (const [start, end] of cutAt(cuts, length)) {
            const { graph, results } = piece(end - start);
            const own = { ...part(given, 2, length, start, end), ...carried };
            const [out, k, v, keyDocuments, used] = evaluate(graph, own, results);
            expect([...out]).toEqual(positions(whole.out, 2, length, start, end));
            carried = { keys: k, values: v, documents: keyDocuments, used };
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('gives packed documents what they get alone, also when every position starts one', () => {
    for (const starts of [
      [2, 3],
      [1, 2, 3, 4, 5],
    ]) {
      const documents = documentsFrom(starts, 6);
      const given = { ...values({ batch: 1 }), queryDocuments: documents, keyDocuments: documents };
      const packed = run({ batch: 1 }, given);
      for (const [start, end] of cutAt(starts, 6)) {
        const options = { batch: 1, length: end - start, documents: false };
        const alone = run(options, part(given, 1, 6, start, end));
        expect(alone.out).toEqual(positions(packed.out, 1, 6, start, end));
      }
    }
  });

  it('treats a batch as its rows', () => {
    const given = values({});
    const batch = run({}, given);
    for (const b of [0, 1]) {
      const own = Object.entries(given).map(([name, all]) => [name, row(all, 2, b)]);
      const alone = run({ batch: 1 }, Object.fromEntries(own));
      expect(alone.out).toEqual(row(batch.out, 2, b));
      expect(alone.logsumexp).toEqual(row(batch.logsumexp, 2, b));
    }
  });

  it('never looks ahead', () => {
    const options = { batch: 1, documents: false };
    const given = values(options);
    const before = run(options, given).out;
    for (const name of ['q', 'k', 'v'] as const) {
      const size = given[name].length / 6;
      const changed = given[name].map((value, i) => (i >= 4 * size ? value + i : value));
      const after = run(options, { ...given, [name]: changed }).out;
      expect(after.slice(0, 4 * 8)).toEqual(before.slice(0, 4 * 8));
      expect(after[4 * 8]).not.toBe(before[4 * 8]);
    }
  });

  it('refuses operands that do not fit', () => {
    const graph = new Graph();
    const shaped = (name: string, ...shape: number[]) => graph.source('input', name, shape);
    const integers = (name: string, ...shape: number[]) => graph.source('input', name, shape, 'int32');
    const operands = { q: shaped('q', 1, 5, 4, 3), k: shaped('k', 1, 5, 2, 3), v: shaped('v', 1, 5, 2, 3) };
    const apply = (inputs: object) => () => graph.scope('layer', () => attention({ ...operands, ...inputs }));
    const three = { k: shaped('k3', 1, 5, 3, 3), v: shaped('v3', 1, 5, 3, 3) };
    expect(apply(three)).toThrow('attention in layer: the 3 key-value heads do not divide the 4 query heads');
    expect(apply({ v: shaped('v4', 1, 4, 2, 3) })).toThrow(`'v' must be float32 or bfloat16 [1, 5, 2, 3]`);
    expect(apply({ queryDocuments: integers('documents', 1, 5) })).toThrow('must both be given, or neither');
    const cache = { k: shaped('kCache', 1, 9, 2, 3), v: shaped('vCache', 1, 9, 2, 3) };
    expect(apply(cache)).toThrow(`there are 9 keys for 5 queries; caches of another length need 'used'`);
    expect(apply({ ...cache, used: integers('used', 2) })).toThrow(`'used' must be int32 [1]`);
  });

  it('says which row has no room for the piece', () => {
    const options = { length: 2, keys: 6, documents: false };
    expect(() => run(options, { ...values(options), used: [0, 5] })).toThrow('attention: row 1 has 5 cached');
  });

  it('has no gradient for a loss on the log-sum-exp', () => {
    const { graph, logsumexp } = build({});
    expect(() => gradientErrors(graph, values({}), [logsumexp], ['q'])).toThrow(`depends on 'logsumexp'`);
  });

  it('counts causal pairs, and all entries of a cache', () => {
    const cost = (options: Partial<Case>) => {
      const node = build(options).out.producer?.node;
      return node?.operation.cost(node.inputs, node.outputs, node.attributes).model;
    };
    expect(cost({})).toBe(2 * 2 * 4 * (3 + 2) * 21);
    expect(cost({ length: 2, keys: 6 })).toBe(2 * 2 * 4 * (3 + 2) * 12);
  });
});
