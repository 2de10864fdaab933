import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../graph/index.ts';
import { Graph } from '../graph/index.ts';
import { causalConvolution } from './convolution.ts';
import type { Given } from './sequenceTesting.ts';
import {
  cutAt,
  documentsFrom,
  evaluate,
  gradientErrors,
  numbers,
  positions,
  row,
} from './sequenceTesting.ts';

interface Case {
  batch: number;
  length: number;
  channels: number;
  taps: number;
  activation: 'none' | 'silu';
  bias: boolean;
  documents: boolean;
  window: boolean;
}

const usual: Case = {
  batch: 2,
  length: 7,
  channels: 3,
  taps: 4,
  activation: 'silu',
  bias: true,
  documents: true,
  window: true,
};

function build(options: Partial<Case>) {
  const { batch, length, channels, taps, activation, bias, documents, window } = { ...usual, ...options };
  const graph = new Graph();
  const results = causalConvolution(
    {
      x: graph.source('input', 'x', [batch, length, channels]),
      weight: graph.source('parameter', 'weight', [channels, taps]),
      bias: bias ? graph.source('parameter', 'bias', [channels]) : undefined,
      documents: documents ? graph.source('input', 'documents', [batch, length], 'int32') : undefined,
      window: window ? graph.source('state', 'window', [batch, taps - 1, channels]) : undefined,
      document: documents && window ? graph.source('state', 'document', [batch], 'int32') : undefined,
    },
    { activation },
  );
  return { graph, ...results };
}

/** Values for every operand. Both rows start in the document of their window. */
function values(options: Partial<Case>) {
  const { batch, length, channels, taps } = { ...usual, ...options };
  return {
    x: numbers(batch * length * channels, 1),
    weight: numbers(channels * taps, 2),
    bias: numbers(channels, 3),
    window: numbers(batch * (taps - 1) * channels, 4),
    documents: Array.from({ length: batch }, (_, b) => documentsFrom([2 + b, 5], length)).flat(),
    document: new Array<number>(batch).fill(0),
  };
}

function run(options: Partial<Case>, given: Given): { y: number[]; window: number[]; document: number[] } {
  const { graph, y, window, document } = build(options);
  const [yValues, windowValues, documentValues] = evaluate(graph, given, [y, window, document]);
  return { y: [...yValues], window: [...windowValues], document: [...documentValues] };
}

describe('causalConvolution', () => {
  it('is the sum over taps, the last one at lag 0', () => {
    const options = {
      batch: 1,
      length: 3,
      channels: 1,
      taps: 3,
      activation: 'none',
      documents: false,
    } as const;
    const given = { x: [1, 2, 3], weight: [100, 10, 1], bias: [0.5], window: [8, 9] };
    const { y, window, document } = run(options, given);
    expect(y).toEqual([891.5, 912.5, 123.5]);
    expect(window).toEqual([2, 3]);
    expect(document).toEqual([0]);
    expect(run({ ...options, window: false, bias: false }, given).y).toEqual([1, 12, 123]);
  });

  it('applies silu', () => {
    const options = { batch: 1, length: 1, channels: 1, taps: 2, documents: false } as const;
    const given = { x: [2], weight: [5, 1], bias: [0], window: [-0.1] };
    expect(run(options, given).y[0]).toBeCloseTo(1.5 / (1 + Math.exp(-1.5)), 14);
  });

  it('shifts the window when a piece is shorter than it', () => {
    const options = { batch: 1, length: 1, channels: 1, taps: 4, documents: false } as const;
    const { window } = run(options, { x: [9], weight: [0, 0, 0, 0], bias: [0], window: [1, 2, 3] });
    expect(window).toEqual([2, 3, 9]);
  });

  it('keeps zeros in the window for inputs of earlier documents', () => {
    const options = { batch: 1, length: 2, channels: 1, taps: 5 } as const;
    const given = { x: [8, 9], weight: [1, 1, 1, 1, 1], bias: [0], window: [1, 2, 3, 4], document: [10] };
    expect(run(options, { ...given, documents: [10, 10] }).window).toEqual([3, 4, 8, 9]);
    expect(run(options, { ...given, documents: [10, 15] })).toMatchObject({
      window: [0, 0, 0, 9],
      document: [15],
    });
    expect(run(options, { ...given, documents: [14, 14] }).window).toEqual([0, 0, 8, 9]);
  });

  it('ignores the window of another document and gives it no gradient', () => {
    const given = { ...values({}), document: [-1, 0] };
    const { window: w } = given;
    const withoutFirst = { ...given, window: Array.from(w, (value, i) => (i < w.length / 2 ? 0 : value)) };
    expect(run({}, given)).toEqual(run({}, withoutFirst));
    const { graph, y, window } = build({});
    expect(gradientErrors(graph, given, [y, window], ['x', 'window']).window).toBeLessThan(1e-6);
  });

  const gradientCases: Partial<Case>[] = [1, 2, 3, 7].flatMap((length) => [
    { length },
    { length, documents: false },
    { length, window: false, activation: 'none' as const },
    { length, bias: false, taps: 2 },
  ]);
  it.each(gradientCases)('has the gradient of finite differences: %o', (options) => {
    const whole = build(options);
    const names = whole.graph.sources.filter(({ dtype }) => dtype !== 'int32').map(({ name }) => name);
    const both = gradientErrors(whole.graph, values(options), [whole.y, whole.window], names);
    for (const [name, error] of Object.entries(both)) expect(error, name).toBeLessThan(1e-6);
    const { graph, y } = build(options);
    const one = gradientErrors(graph, values(options), [y], names);
    for (const [name, error] of Object.entries(one)) expect(error, name).toBeLessThan(1e-6);
  });

  it('passes a gradient that comes only through the window', () => {
    const { graph, window } = build({ length: 2 });
    const errors = gradientErrors(graph, values({ length: 2 }), [window], ['x', 'window']);
    expect(errors.x).toBeLessThan(1e-6);
    expect(errors.window).toBeLessThan(1e-6);
  });

  it('is the same in pieces as whole', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.integer({ min: 1, max: 11 }), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 11 }), { maxLength: 12 }),
        fc.constantFrom(2, 4),
        (length, cuts, starts, taps) => {
          const options = { length, taps };
          const given = {
            ...values(options),
            documents: [documentsFrom(starts, length), documentsFrom([], length)].flat(),
          };
          const whole = run(options, given);
          let state: Given = { window: given.window, document: given.document };
          for (const [start, end] of cutAt(cuts, length)) {
            const part = run(
              { taps, length: end - start },
              {
                ...given,
                ...state,
                x: positions(given.x, 2, length, start, end),
                documents: positions(given.documents, 2, length, start, end),
              },
            );
            expect(part.y).toEqual(positions(whole.y, 2, length, start, end));
            state = { window: part.window, document: part.document };
          }
          expect(state.window).toEqual(whole.window);
          expect(state.document).toEqual(whole.document);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('gives packed documents what they get alone, also when every position starts one', () => {
    for (const starts of [
      [3, 4],
      [1, 2, 3, 4, 5, 6],
    ]) {
      const options = { batch: 1, window: false };
      const given = { ...values(options), documents: documentsFrom(starts, 7) };
      const packed = run(options, given);
      for (const [start, end] of cutAt(starts, 7)) {
        const alone = run(
          { ...options, length: end - start, documents: false },
          { ...given, x: positions(given.x, 1, 7, start, end) },
        );
        expect(alone.y).toEqual(positions(packed.y, 1, 7, start, end));
        if (end === 7) expect(alone.window).toEqual(packed.window);
      }
    }
  });

  it('treats a batch as its rows', () => {
    const given = values({});
    const batch = run({}, given);
    for (const b of [0, 1]) {
      const own = {
        x: row(given.x, 2, b),
        documents: row(given.documents, 2, b),
        window: row(given.window, 2, b),
        document: row(given.document, 2, b),
      };
      const alone = run({ batch: 1 }, { ...given, ...own });
      expect(alone.y).toEqual(row(batch.y, 2, b));
      expect(alone.window).toEqual(row(batch.window, 2, b));
    }
  });

  it('never looks ahead', () => {
    const options = { batch: 1, documents: false };
    const given = values(options);
    const changed = Float64Array.from(given.x, (value, i) => (i >= 4 * 3 ? value + 1 : value));
    const before = run(options, given).y;
    const after = run(options, { ...given, x: changed }).y;
    expect(after.slice(0, 12)).toEqual(before.slice(0, 12));
    expect(after[12]).not.toBe(before[12]);
  });

  it('may write its state over the old one', () => {
    const given = values({ length: 2 });
    const byName: Given = given;
    const { y } = build({ length: 2 });
    const node = y.producer?.node;
    const inputs = (node?.inputs ?? []).map((tensor) => {
      if (!tensor) return undefined;
      const Kind = tensor.dtype === 'int32' ? Int32Array : Float64Array;
      return { shape: tensor.shape, dtype: tensor.dtype, values: Kind.from(byName[tensor.name]) };
    });
    node?.operation.evaluate(inputs, [undefined, inputs[4], inputs[5]], node.attributes);
    const expected = run({ length: 2 }, given);
    expect([...(inputs[4]?.values ?? [])]).toEqual(expected.window);
    expect([...(inputs[5]?.values ?? [])]).toEqual(expected.document);
  });

  it('rounds an output that is stored in bfloat16', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [1, 1, 1]);
    const weight = graph.source('parameter', 'weight', [1, 2]);
    const { y } = causalConvolution({ x, weight }, { dtype: 'bfloat16' });
    const operand = (tensor: Tensor, ...given: number[]) => ({ ...tensor, values: Float32Array.from(given) });
    const stored = operand(y, 0);
    const node = y.producer?.node;
    const inputs = [operand(x, 1), operand(weight, 0, 1.005), undefined, undefined, undefined, undefined];
    node?.operation.evaluate(inputs, [stored, undefined, undefined], node.attributes);
    expect([...stored.values]).toEqual([1.0078125]);
  });

  it('refuses operands that do not fit', () => {
    const graph = new Graph();
    const x = graph.source('input', 'x', [2, 5, 3]);
    const weight = graph.source('parameter', 'weight', [3, 4]);
    const documents = graph.source('input', 'documents', [2, 5], 'int32');
    const window = graph.source('state', 'window', [2, 3, 3]);
    const wide = graph.source('parameter', 'wide', [3, 17]);
    const apply = (inputs: object) => () =>
      graph.scope('layer', () => causalConvolution({ x, weight, ...inputs }));
    expect(apply({ weight: wide })).toThrow('causalConvolution in layer: the filter has 17 taps; 2 to 16');
    expect(apply({ window: x })).toThrow(`'window' must be float32 [2, 3, 3], not float32[2, 5, 3]`);
    expect(apply({ documents, window })).toThrow(`without 'document'`);
    expect(apply({ x: weight })).toThrow(`'x' must have the shape [B, L, E]`);
  });

  it('counts two operations per tap', () => {
    const node = build({}).y.producer?.node;
    const cost = node?.operation.cost(node.inputs, node.outputs, node.attributes);
    expect(cost?.model).toBe(2 * 4 * 2 * 7 * 3);
  });
});
