import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { selectiveScan } from './selectiveScan.ts';
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
  channels: number;
  states: number;
  chunk: number;
  documents: boolean;
  state: boolean;
}

const usual: Case = { batch: 2, length: 9, channels: 3, states: 2, chunk: 4, documents: true, state: true };

function build(options: Partial<Case>) {
  const { batch, length, channels, states, chunk, documents, state } = { ...usual, ...options };
  const graph = new Graph();
  const results = selectiveScan(
    {
      x: graph.source('input', 'x', [batch, length, channels]),
      dt: graph.source('input', 'dt', [batch, length, channels]),
      aLog: graph.source('parameter', 'aLog', [channels, states]),
      b: graph.source('input', 'b', [batch, length, states]),
      c: graph.source('input', 'c', [batch, length, states]),
      d: graph.source('parameter', 'd', [channels]),
      dtBias: graph.source('parameter', 'dtBias', [channels]),
      documents: documents ? graph.source('input', 'documents', [batch, length], 'int32') : undefined,
      state: state ? graph.source('state', 'state', [batch, channels, states]) : undefined,
      document: documents && state ? graph.source('state', 'document', [batch], 'int32') : undefined,
    },
    { chunk },
  );
  return { graph, ...results };
}

/** Values for every operand. Both rows start in the document of their state. */
function values(options: Partial<Case>) {
  const { batch, length, channels, states } = { ...usual, ...options };
  return {
    x: numbers(batch * length * channels, 1),
    dt: numbers(batch * length * channels, 2),
    aLog: numbers(channels * states, 3),
    b: numbers(batch * length * states, 4),
    c: numbers(batch * length * states, 5),
    d: numbers(channels, 6),
    dtBias: numbers(channels, 7),
    state: numbers(batch * channels * states, 8),
    documents: Array.from({ length: batch }, (_, at) => documentsFrom([3 + at, 6], length)).flat(),
    document: new Array<number>(batch).fill(0),
  };
}

type Operands = ReturnType<typeof values>;

function run(options: Partial<Case>, given: Given) {
  const { graph, y, checkpoints, state, document } = build(options);
  const results = evaluate(graph, given, [y, checkpoints, state, document]).map((found) => [...found]);
  return { y: results[0], checkpoints: results[1], state: results[2], document: results[3] };
}

/** The operands of a part of the positions. */
function part(given: Operands, batch: number, length: number, start: number, end: number) {
  const cut = (all: ArrayLike<number>): number[] => positions(all, batch, length, start, end);
  return {
    ...given,
    x: cut(given.x),
    dt: cut(given.dt),
    b: cut(given.b),
    c: cut(given.c),
    documents: cut(given.documents),
  };
}

/** The recurrence of the paper for one channel with one state, written out. */
function literal(given: Operands, length: number): { y: number[]; states: number[] } {
  const y: number[] = [];
  const states: number[] = [];
  let h = given.state[0];
  for (let t = 0; t < length; t++) {
    const delta = Math.log(1 + Math.exp(given.dt[t] + given.dtBias[0]));
    h = Math.exp(-delta * Math.exp(given.aLog[0])) * h + delta * given.b[t] * given.x[t];
    states.push(h);
    y.push(given.c[t] * h + given.d[0] * given.x[t]);
  }
  return { y, states };
}

describe('selectiveScan', () => {
  it('is the recurrence of the paper', () => {
    const options = { batch: 1, length: 9, channels: 1, states: 1, documents: false };
    const given = values(options);
    const { y, checkpoints, state, document } = run(options, given);
    const expected = literal(given, 9);
    expect(relativeError(y, expected.y)).toBeLessThan(1e-14);
    expect(relativeError(checkpoints, [given.state[0], expected.states[3], expected.states[7]])).toBeLessThan(
      1e-14,
    );
    expect(relativeError(state, [expected.states[8]])).toBeLessThan(1e-14);
    expect(document).toEqual([0]);
  });

  it('adds the contributions of all states of a channel', () => {
    const options = { batch: 1, length: 5, channels: 2, states: 3, documents: false };
    const given = values(options);
    const { y } = run(options, given);
    const channel = (e: number): number[] => {
      const own = (all: ArrayLike<number>): number[] => Array.from({ length: 5 }, (_, t) => all[t * 2 + e]);
      const sum = own(given.x).map((value) => given.d[e] * value);
      for (let n = 0; n < 3; n++) {
        const state = (all: ArrayLike<number>): number[] =>
          Array.from({ length: 5 }, (_, t) => all[t * 3 + n]);
        const single = literal(
          {
            ...given,
            x: Float64Array.from(own(given.x)),
            dt: Float64Array.from(own(given.dt)),
            b: Float64Array.from(state(given.b)),
            c: Float64Array.from(state(given.c)),
            aLog: given.aLog.subarray(e * 3 + n, e * 3 + n + 1),
            state: given.state.subarray(e * 3 + n, e * 3 + n + 1),
            dtBias: given.dtBias.subarray(e, e + 1),
            d: new Float64Array(1),
          },
          5,
        );
        single.y.forEach((value, t) => {
          sum[t] += value;
        });
      }
      return sum;
    };
    for (const e of [0, 1]) {
      const own = Array.from({ length: 5 }, (_, t) => y[t * 2 + e]);
      expect(relativeError(own, channel(e))).toBeLessThan(1e-13);
    }
  });

  it('keeps finite for steps of any size', () => {
    const options = { batch: 1, length: 2, channels: 1, states: 1, documents: false };
    const given = { ...values(options), dt: [-800, 800] };
    for (const value of run(options, given).y) expect(Number.isFinite(value)).toBe(true);
  });

  it('keeps the state that enters a chunk as it was before the reset', () => {
    const options = { batch: 1, length: 8, chunk: 4 };
    const given = { ...values(options), documents: documentsFrom([4], 8), document: [-1] };
    const { checkpoints } = run(options, given);
    expect(checkpoints.slice(0, 6)).toEqual([...given.state]);
    const first = run({ ...options, length: 4 }, part(given, 1, 8, 0, 4));
    expect(checkpoints.slice(6)).toEqual(first.state);
  });

  it('ignores the state of another document and gives it no gradient', () => {
    const given = { ...values({}), document: [-1, 0] };
    const cleared = { ...given, state: given.state.map((value, i) => (i < 6 ? 0 : value)) };
    expect(run({}, given).y).toEqual(run({}, cleared).y);
    expect(run({}, given).state).toEqual(run({}, cleared).state);
    const { graph, y, state } = build({});
    expect(gradientErrors(graph, given, [y, state], ['state']).state).toBeLessThan(1e-6);
  });

  const gradientCases: Partial<Case>[] = [1, 2, 3, 4, 5, 9].flatMap((length) => [
    { length },
    { length, documents: false },
    { length, state: false, chunk: 1 },
    { length, state: false, documents: false, chunk: 64 },
  ]);
  it.each(gradientCases)('has the gradient of finite differences: %o', (options) => {
    const whole = build(options);
    const names = whole.graph.sources.filter(({ dtype }) => dtype !== 'int32').map(({ name }) => name);
    const both = gradientErrors(whole.graph, values(options), [whole.y, whole.state], names);
    for (const [name, error] of Object.entries(both)) expect(error, name).toBeLessThan(1e-6);
    const { graph, y } = build(options);
    const one = gradientErrors(graph, values(options), [y], names);
    for (const [name, error] of Object.entries(one)) expect(error, name).toBeLessThan(1e-6);
  });

  it('passes a gradient that comes only through the final state', () => {
    const { graph, state } = build({});
    const errors = gradientErrors(graph, values({}), [state], ['x', 'dt', 'aLog', 'b', 'dtBias', 'state']);
    for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(1e-6);
  });

  it('is the same in pieces as whole', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.integer({ min: 1, max: 11 }), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 11 }), { maxLength: 12 }),
        fc.constantFrom(1, 3, 64),
        (length, cuts, starts, chunk) => {
          const options = { length, chunk };
          const documents = [...documentsFrom(starts, length), ...documentsFrom([], length)];
          const given = { ...values(options), documents };
          const whole = run(options, given);
          let carried: Given = { state: given.state, document: given.document };
          for (const [start, end] of cutAt(cuts, length)) {
            const own = { ...part(given, 2, length, start, end), ...carried };
            const piece = run({ length: end - start, chunk: 4 }, own);
            expect(piece.y).toEqual(positions(whole.y, 2, length, start, end));
            carried = { state: piece.state, document: piece.document };
          }
          expect(carried.state).toEqual(whole.state);
          expect(carried.document).toEqual(whole.document);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('gives packed documents what they get alone, also when every position starts one', () => {
    for (const starts of [
      [3, 4],
      [1, 2, 3, 4, 5, 6, 7, 8],
    ]) {
      const options = { batch: 1, state: false };
      const given = { ...values(options), documents: documentsFrom(starts, 9) };
      const packed = run(options, given);
      for (const [start, end] of cutAt(starts, 9)) {
        const alone = run(
          { ...options, length: end - start, documents: false },
          part(given, 1, 9, start, end),
        );
        expect(alone.y).toEqual(positions(packed.y, 1, 9, start, end));
        if (end === 9) expect(alone.state).toEqual(packed.state);
      }
    }
  });

  it('treats a batch as its rows', () => {
    const given = values({});
    const batch = run({}, given);
    for (const at of [0, 1]) {
      const own = Object.entries(given).map(([name, all]) => {
        const shared = ['aLog', 'd', 'dtBias'].includes(name);
        return [name, shared ? all : row(all, 2, at)];
      });
      const alone = run({ batch: 1 }, Object.fromEntries(own));
      expect(alone.y).toEqual(row(batch.y, 2, at));
      expect(alone.state).toEqual(row(batch.state, 2, at));
    }
  });

  it('never looks ahead', () => {
    const options = { batch: 1, documents: false };
    const given = values(options);
    const before = run(options, given).y;
    for (const name of ['x', 'dt', 'b', 'c'] as const) {
      const size = given[name].length / 9;
      const changed = given[name].map((value, i) => (i >= 5 * size ? value + 1 : value));
      const after = run(options, { ...given, [name]: changed }).y;
      expect(after.slice(0, 15)).toEqual(before.slice(0, 15));
      expect(after[15]).not.toBe(before[15]);
    }
  });

  it('may write its state over the old one', () => {
    const given = values({});
    const byName: Given = given;
    const node = build({}).y.producer?.node;
    const inputs = (node?.inputs ?? []).map((tensor) => {
      if (!tensor) return undefined;
      const Kind = tensor.dtype === 'int32' ? Int32Array : Float64Array;
      return { shape: tensor.shape, dtype: tensor.dtype, values: Kind.from(byName[tensor.name]) };
    });
    node?.operation.evaluate(inputs, [undefined, undefined, inputs[8], inputs[9]], node.attributes);
    const expected = run({}, given);
    expect([...(inputs[8]?.values ?? [])]).toEqual(expected.state);
    expect([...(inputs[9]?.values ?? [])]).toEqual(expected.document);
  });

  it('refuses operands that do not fit', () => {
    const graph = new Graph();
    const shaped = (name: string, ...shape: number[]) => graph.source('input', name, shape);
    const operands = {
      x: shaped('x', 1, 5, 3),
      dt: shaped('dt', 1, 5, 3),
      aLog: shaped('aLog', 3, 4),
      b: shaped('b', 1, 5, 4),
      c: shaped('c', 1, 5, 4),
      d: shaped('d', 3),
      dtBias: shaped('dtBias', 3),
    };
    const apply = (inputs: object, chunk = 4) => {
      return () => graph.scope('layer', () => selectiveScan({ ...operands, ...inputs }, { chunk }));
    };
    expect(apply({ b: shaped('b3', 1, 5, 3) })).toThrow(
      `selectiveScan in layer: 'b' must be float32 or bfloat16 [1, 5, 4], not float32[1, 5, 3].`,
    );
    expect(apply({ aLog: shaped('wide', 3, 65) })).toThrow('65 states per channel; at most 64');
    expect(apply({}, 0)).toThrow('chunk must be a whole number from 1, not 0');
    const documents = graph.source('input', 'documents', [1, 5], 'int32');
    expect(apply({ documents, state: shaped('state', 1, 3, 4) })).toThrow(`without 'document'`);
  });

  it('has no gradient for a loss on the checkpoints', () => {
    const { graph, checkpoints } = build({});
    expect(() => gradientErrors(graph, values({}), [checkpoints], ['x'])).toThrow(`depends on 'checkpoints'`);
  });

  it('counts 9 N + 2 operations per channel and position', () => {
    const node = build({}).y.producer?.node;
    const cost = node?.operation.cost(node.inputs, node.outputs, node.attributes);
    expect(cost?.model).toBe(2 * 9 * 3 * (9 * 2 + 2));
  });
});
