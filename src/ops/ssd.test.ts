import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import type { SequenceOperation } from './sequenceLaws.ts';
import { buildCase, caseValues, holdCheckpointLaws, holdSequenceLaws, runCase } from './sequenceLaws.ts';
import { relativeError } from './sequenceTesting.ts';
import type { SsdOptions } from './ssd.ts';
import { ssd } from './ssd.ts';

interface Sizes {
  heads: number;
  headSize: number;
  groups: number;
  states: number;
}

const small: Sizes = { heads: 2, headSize: 2, groups: 1, states: 3 };

function operation(sizes: Partial<Sizes> = {}, options: SsdOptions = {}): SequenceOperation {
  const { heads, headSize, groups, states } = { ...small, ...sizes };
  return {
    perPosition: { x: [heads, headSize], dt: [heads], b: [groups, states], c: [groups, states] },
    shared: { aLog: [heads], d: [heads], dtBias: [heads] },
    state: [heads, headSize, states],
    reachesState: (name) => name !== 'c' && name !== 'd',
    build({ x, dt, aLog, b, c, d, dtBias, documents, state, document }) {
      const results = ssd(
        { x, dt, aLog, b, c, d, dtBias, documents, state, document },
        { chunk: 4, ...options },
      );
      return { ...results, output: results.y };
    },
  };
}

type Given = Readonly<Record<string, ArrayLike<number>>>;

/**
 * The scan of one row without documents by chunks, as a kernel does it (Dao and Gu 2024, listing 1): products within a
 * chunk weighted by exponentials of segment sums, and states passed between chunks.
 */
function byChunks(given: Given, sizes: Sizes, length: number, chunk: number): number[] {
  const { heads, headSize, groups, states } = sizes;
  const y = new Array<number>(length * heads * headSize).fill(0);
  for (let h = 0; h < heads; h++) {
    const group = Math.floor((h * groups) / heads);
    const delta = (t: number): number => Math.log1p(Math.exp(given.dt[t * heads + h] + given.dtBias[h]));
    const x = (t: number, p: number): number => given.x[(t * heads + h) * headSize + p];
    const b = (t: number, n: number): number => given.b[(t * groups + group) * states + n];
    const c = (t: number, n: number): number => given.c[(t * groups + group) * states + n];
    /** Π of the decays of positions after `from` up to and with `to`. */
    const decay = (from: number, to: number): number => {
      let sum = 0;
      for (let t = from + 1; t <= to; t++) sum -= delta(t) * Math.exp(given.aLog[h]);
      return Math.exp(sum);
    };
    for (let p = 0; p < headSize; p++) {
      let entering = Array.from({ length: states }, (_, n) => given.state[(h * headSize + p) * states + n]);
      for (let start = 0; start < length; start += chunk) {
        const end = Math.min(length, start + chunk);
        for (let i = start; i < end; i++) {
          let sum = given.d[h] * x(i, p);
          for (let n = 0; n < states; n++) sum += decay(start - 1, i) * c(i, n) * entering[n];
          for (let j = start; j <= i; j++) {
            let score = 0;
            for (let n = 0; n < states; n++) score += c(i, n) * b(j, n);
            sum += decay(j, i) * score * delta(j) * x(j, p);
          }
          y[(i * heads + h) * headSize + p] = sum;
        }
        entering = entering.map((state, n) => {
          let next = decay(start - 1, end - 1) * state;
          for (let j = start; j < end; j++) next += decay(j, end - 1) * b(j, n) * delta(j) * x(j, p);
          return next;
        });
      }
    }
  }
  return y;
}

describe('ssd', () => {
  describe('with shared groups', () => {
    holdSequenceLaws(operation(), [1, 4, 5, 9]);
    holdCheckpointLaws(operation());
  });
  describe('with a group per head and one state', () =>
    holdSequenceLaws(operation({ groups: 2, headSize: 3, states: 1 }, { chunk: 1 }), [2]));
  describe('with bounds of the step, some reached', () =>
    holdSequenceLaws(operation({ heads: 3, headSize: 1 }, { dtLow: 0.6, dtHigh: 0.9 }), [3]));

  it('is the recurrence, written out for one number', () => {
    const one = operation({ heads: 1, headSize: 1, groups: 1, states: 1 }, { dtLow: 0.5, dtHigh: 1 });
    const options = { batch: 1, length: 6, documents: false };
    const dt = [-3, -0.5, 0, 0.5, 3, 0.1];
    const given: Given = { ...caseValues(one, options), dt, dtBias: [0.1] };
    let state = given.state[0];
    const expected = dt.map((raw, t) => {
      const delta = Math.min(1, Math.max(0.5, Math.log(1 + Math.exp(raw + 0.1))));
      state = Math.exp(-delta * Math.exp(given.aLog[0])) * state + delta * given.x[t] * given.b[t];
      return state * given.c[t] + given.d[0] * given.x[t];
    });
    const found = runCase(one, options, given);
    expect(relativeError(found.output, expected)).toBeLessThan(1e-14);
    expect(relativeError(found.state, [state])).toBeLessThan(1e-14);
    expect([...found.document]).toEqual([0]);
  });

  it('equals the products by chunks, for every chunk and two groups of two heads', () => {
    const sizes = { heads: 4, headSize: 3, groups: 2, states: 5 };
    const options = { batch: 1, length: 11, documents: false };
    const given = caseValues(operation(sizes), options);
    const { output } = runCase(operation(sizes), options, given);
    for (const chunk of [1, 2, 4, 5, 10, 11, 12]) {
      expect(relativeError(byChunks(given, sizes, 11, chunk), output)).toBeLessThan(1e-14);
    }
  });

  it('stays finite for steps of any size', () => {
    const one = operation({ heads: 1, headSize: 1, states: 1 });
    const options = { batch: 1, length: 3, documents: false };
    const given = { ...caseValues(one, options), dt: [-800, 800, 0] };
    for (const value of runCase(one, options, given).output) expect(Number.isFinite(value)).toBe(true);
  });

  it('counts 9 N + 2 model operations per number, and executed ones by chunks', () => {
    const node = buildCase(operation(), {}).output.producer?.node;
    const cost = node?.operation.cost(node.inputs, node.outputs, node.attributes);
    expect(cost?.model).toBe(2 * 9 * 4 * (9 * 3 + 2));
    // Two rows of chunks of 4, 4 and 1 positions.
    expect(cost?.executed).toBe(2 * (2 * 33) * (3 + 4) + 2 * 9 * 4 * (4 * 3 + 2));
  });

  it('executes the products of a chunk where positions look back, in blocks of sixteen', () => {
    const node = buildCase(operation({}, { chunk: 64 }), { batch: 1, length: 40 }).output.producer?.node;
    const cost = node?.operation.cost(node.inputs, node.outputs, node.attributes);
    const weighed = 16 * 16 + 16 * 32 + 8 * 40;
    expect(cost?.executed).toBe(2 * 1600 * 3 + 2 * weighed * 4 + 40 * 4 * (4 * 3 + 2));
  });

  it('refuses operands that do not fit', () => {
    const graph = new Graph();
    const shaped = (name: string, ...shape: number[]) => graph.source('input', name, shape);
    const operands = {
      x: shaped('x', 1, 5, 4, 3),
      dt: shaped('dt', 1, 5, 4),
      aLog: shaped('aLog', 4),
      b: shaped('b', 1, 5, 2, 6),
      c: shaped('c', 1, 5, 2, 6),
      d: shaped('d', 4),
      dtBias: shaped('dtBias', 4),
    };
    const apply = (inputs: object, options: SsdOptions = {}) => {
      return () => graph.scope('layer', () => ssd({ ...operands, ...inputs }, options));
    };
    expect(apply({})().y.shape).toEqual([1, 5, 4, 3]);
    expect(apply({ b: shaped('b3', 1, 5, 3, 6) })).toThrow('ssd in layer: 4 heads cannot share 3 groups');
    expect(apply({ c: shaped('c5', 1, 5, 2, 5) })).toThrow(`'c' must be float32 or bfloat16 [1, 5, 2, 6]`);
    expect(apply({}, { chunk: 0 })).toThrow('chunk is 0; it must be an integer above 0');
    expect(apply({}, { dtLow: 1, dtHigh: 0.5 })).toThrow('dtLow and dtHigh are 1 and 0.5');
    const documents = graph.source('input', 'documents', [1, 5], 'int32');
    expect(apply({ documents, state: shaped('state', 1, 4, 3, 6) })).toThrow(`without 'document'`);
  });

  it('rounds its first output where it is stored in bfloat16', () => {
    const low = buildCase(operation({}, { dtype: 'bfloat16' }), {});
    expect([low.output.dtype, low.state.dtype]).toEqual(['bfloat16', 'float32']);
  });
});
