/**
 * For tests only: the laws that every sequence operation with a carried state keeps. A test describes its operation by
 * the shapes of its operands and states them all in one call.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Shape, Tensor, Values } from '../graph/index.ts';
import { elementCount, Graph } from '../graph/index.ts';
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

export interface SequenceOperation {
  /** Operands [B, L, …], by name: what comes after the length. */
  readonly perPosition: Readonly<Record<string, Shape>>;
  /** Operands that all positions share. */
  readonly shared: Readonly<Record<string, Shape>>;
  /** What comes after the batch in the state. */
  readonly state: Shape;
  /** Values of operands that must not be just any numbers from −1 to 1, from such numbers. */
  readonly values?: Readonly<Record<string, (value: number) => number>>;
  /** Whether the final state depends on an operand. */
  readonly reachesState: (name: string) => boolean;
  /** Makes the call. `operands` has `documents`, `state` and `document` where the case has them. */
  build(operands: Operands): Results;
}

export type Operands = Readonly<Record<string, Tensor>>;

export interface Results {
  /** [B, L, …]. */
  readonly output: Tensor;
  readonly state: Tensor;
  readonly document: Tensor;
  /** [B, ⌈L/chunk⌉, …], where the operation keeps states for its backward pass. */
  readonly checkpoints?: Tensor;
}

export interface Case {
  readonly batch: number;
  readonly length: number;
  readonly documents: boolean;
  readonly state: boolean;
}

const usual: Case = { batch: 2, length: 9, documents: true, state: true };

export function buildCase(operation: SequenceOperation, options: Partial<Case>): Results & { graph: Graph } {
  const { batch, length, documents, state } = { ...usual, ...options };
  const graph = new Graph();
  const operands: Record<string, Tensor> = {};
  for (const [name, rest] of Object.entries(operation.perPosition)) {
    operands[name] = graph.source('input', name, [batch, length, ...rest]);
  }
  for (const [name, shape] of Object.entries(operation.shared)) {
    operands[name] = graph.source('parameter', name, shape);
  }
  if (documents) operands.documents = graph.source('input', 'documents', [batch, length], 'int32');
  if (state) operands.state = graph.source('state', 'state', [batch, ...operation.state]);
  if (documents && state) operands.document = graph.source('state', 'document', [batch], 'int32');
  return { graph, ...operation.build(operands) };
}

/** Values for every operand. All rows start in the document of their state. */
export function caseValues(
  operation: SequenceOperation,
  options: Partial<Case>,
): Record<string, ArrayLike<number>> {
  const { batch, length } = { ...usual, ...options };
  const given: Record<string, ArrayLike<number>> = {
    documents: Array.from({ length: batch }, (_, at) => documentsFrom([3 + at, 6], length)).flat(),
    document: new Array<number>(batch).fill(0),
  };
  const shapes: [string, Shape][] = [
    ...Object.entries(operation.perPosition).map(([name, rest]): [string, Shape] => [
      name,
      [batch, length, ...rest],
    ]),
    ...Object.entries(operation.shared),
    ['state', [batch, ...operation.state]],
  ];
  shapes.forEach(([name, shape], seed) => {
    const value = operation.values?.[name] ?? ((number: number) => number);
    given[name] = numbers(elementCount(shape), seed + 1).map(value);
  });
  return given;
}

export interface Evaluated {
  readonly output: Values;
  readonly state: Values;
  readonly document: Values;
}

export function runCase(operation: SequenceOperation, options: Partial<Case>, given: Given): Evaluated {
  const { graph, output, state, document } = buildCase(operation, options);
  const [values, last, number] = evaluate(graph, given, [output, state, document]);
  return { output: values, state: last, document: number };
}

/** The operands of the positions [start, end). */
function part(
  operation: SequenceOperation,
  given: Given,
  batch: number,
  length: number,
  start: number,
  end: number,
): Given {
  const cut: Record<string, ArrayLike<number>> = { ...given };
  for (const name of [...Object.keys(operation.perPosition), 'documents']) {
    cut[name] = positions(given[name], batch, length, start, end);
  }
  return cut;
}

/** Registers the tests of all laws. `lengths` are those at which gradients are checked. */
export function holdSequenceLaws(operation: SequenceOperation, lengths: readonly number[]): void {
  const perPosition = Object.keys(operation.perPosition);
  const floatsOf = (graph: Graph): string[] =>
    graph.sources.filter(({ dtype }) => dtype !== 'int32').map(({ name }) => name);

  const gradientCases: Partial<Case>[] = lengths.flatMap((length) => [
    { length },
    { length, documents: false },
    { length, state: false },
    { length, state: false, documents: false },
  ]);
  it.each(gradientCases)('has the gradient of finite differences: %o', (options) => {
    const given = caseValues(operation, options);
    const all = buildCase(operation, options);
    expectSmall(gradientErrors(all.graph, given, [all.output, all.state], floatsOf(all.graph)));
  });

  it('passes a gradient that comes only through the output, or only through the final state', () => {
    const length = Math.max(...lengths);
    const given = caseValues(operation, { length });
    const first = buildCase(operation, { length });
    expectSmall(gradientErrors(first.graph, given, [first.output], floatsOf(first.graph)));
    const { graph, state } = buildCase(operation, { length });
    expectSmall(gradientErrors(graph, given, [state], floatsOf(graph).filter(operation.reachesState)));
  });

  it('ignores the state of another document and gives it no gradient', () => {
    const given: Given = { ...caseValues(operation, {}), document: [-1, 0] };
    const half = elementCount(operation.state);
    const cleared = {
      ...given,
      state: Array.from(given.state, (value, i) => (i < half ? 0 : value)),
    };
    expect(runCase(operation, {}, given)).toEqual(runCase(operation, {}, cleared));
    const { graph, output, state } = buildCase(operation, {});
    expectSmall(gradientErrors(graph, given, [output, state], ['state']));
  });

  it('is the same in pieces as whole', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.integer({ min: 1, max: 11 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 11 }), { maxLength: 6 }),
        (length, cuts, starts) => {
          const documents = [...documentsFrom(starts, length), ...documentsFrom([], length)];
          const given: Given = { ...caseValues(operation, { length }), documents };
          const whole = runCase(operation, { length }, given);
          let carried: Given = { state: given.state, document: given.document };
          for (const [start, end] of cutAt(cuts, length)) {
            const own = { ...part(operation, given, 2, length, start, end), ...carried };
            const piece = runCase(operation, { length: end - start }, own);
            expectClose(piece.output, positions(whole.output, 2, length, start, end));
            carried = { state: piece.state, document: piece.document };
          }
          expectClose(carried.state, whole.state);
          expect(carried.document).toEqual(whole.document);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('gives packed documents what they get alone, also when every position starts one', () => {
    for (const starts of [
      [3, 4],
      [1, 2, 3, 4, 5, 6, 7, 8],
    ]) {
      const options = { batch: 1, state: false };
      const given = { ...caseValues(operation, options), documents: documentsFrom(starts, 9) };
      const packed = runCase(operation, options, given);
      for (const [start, end] of cutAt(starts, 9)) {
        const alone = runCase(
          operation,
          { ...options, length: end - start, documents: false },
          part(operation, given, 1, 9, start, end),
        );
        expectClose(alone.output, positions(packed.output, 1, 9, start, end));
        if (end === 9) expectClose(alone.state, packed.state);
      }
      expect([...packed.document]).toEqual([starts[starts.length - 1]]);
    }
  });

  it('treats a batch as its rows', () => {
    const given = caseValues(operation, {});
    const batch = runCase(operation, {}, given);
    for (const at of [0, 1]) {
      const own = Object.entries(given).map(([name, all]): [string, ArrayLike<number>] => [
        name,
        name in operation.shared ? all : row(all, 2, at),
      ]);
      const alone = runCase(operation, { batch: 1 }, Object.fromEntries(own));
      expect([...alone.output]).toEqual(row(batch.output, 2, at));
      expect([...alone.state]).toEqual(row(batch.state, 2, at));
    }
  });

  it('never looks ahead', () => {
    const options = { batch: 1, documents: false };
    const given = caseValues(operation, options);
    const before = runCase(operation, options, given).output;
    const here = 5 * (before.length / 9);
    for (const name of perPosition) {
      const size = given[name].length / 9;
      const changed = Array.from(given[name], (value, i) => (i >= 5 * size ? value - 0.5 : value));
      const after = runCase(operation, options, { ...given, [name]: changed }).output;
      expect(after.slice(0, here)).toEqual(before.slice(0, here));
      expect(after.slice(here)).not.toEqual(before.slice(here));
    }
  });

  it('may write its state over the old one, and leave out its output', () => {
    const given = caseValues(operation, {});
    const { output, state } = buildCase(operation, {});
    const node = output.producer?.node;
    const inputs = (node?.inputs ?? []).map((tensor) => {
      if (!tensor) return undefined;
      const Kind = tensor.dtype === 'int32' ? Int32Array : Float64Array;
      return { shape: tensor.shape, dtype: tensor.dtype, values: Kind.from(given[tensor.name]) };
    });
    const pairs = node?.operation.inPlace ?? [];
    const outputs = (node?.outputs ?? []).map((_, index) => {
      const pair = pairs.find(([to]) => to === index);
      return pair && inputs[pair[1]];
    });
    expect(outputs.filter((operand) => operand !== undefined)).toHaveLength(2);
    node?.operation.evaluate(inputs, outputs, node.attributes);
    const expected = runCase(operation, {}, given);
    const [stateAt, documentAt] = pairs.map(([to]) => to);
    expect(stateAt).toBe(state.producer?.output);
    expect(outputs[stateAt]?.values).toEqual(expected.state);
    expect(outputs[documentAt]?.values).toEqual(expected.document);
  });
}

/**
 * Registers the tests of an operation that keeps the states which enter chunks of 4 positions: they are those of the
 * pieces, before any reset, and have no gradient of their own.
 */
export function holdCheckpointLaws(operation: SequenceOperation): void {
  it('keeps the states that enter chunks as they were before a reset', () => {
    const given = { ...caseValues(operation, { batch: 1 }), documents: documentsFrom([4], 9) };
    const { graph, checkpoints } = buildCase(operation, { batch: 1 });
    const [kept] = evaluate(graph, given, checkpoints ? [checkpoints] : []);
    const after = [4, 8].map((length) => {
      const own = part(operation, given, 1, 9, 0, length);
      return [...runCase(operation, { batch: 1, length }, own).state];
    });
    expectClose(kept, [...Array.from(caseValues(operation, { batch: 1 }).state), ...after.flat()]);
  });

  it('has no gradient for a loss on the checkpoints', () => {
    const { graph, checkpoints } = buildCase(operation, {});
    const [name] = Object.keys(operation.perPosition);
    expect(() =>
      gradientErrors(graph, caseValues(operation, {}), checkpoints ? [checkpoints] : [], [name]),
    ).toThrow(`depends on 'checkpoints'`);
  });
}

function expectSmall(errors: Readonly<Record<string, number>>): void {
  for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(1e-6);
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(relativeError(actual, expected)).toBeLessThan(1e-12);
}
