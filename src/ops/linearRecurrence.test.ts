import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { linearRecurrence } from './linearRecurrence.ts';
import type { SequenceOperation } from './sequenceLaws.ts';
import { buildCase, holdSequenceLaws, runCase } from './sequenceLaws.ts';

function operation(channels: number): SequenceOperation {
  return {
    perPosition: { a: [channels], x: [channels] },
    shared: {},
    state: [channels],
    reachesState: () => true,
    build(operands) {
      const { a, x, documents, state, document } = operands;
      const results = linearRecurrence({ a, x, documents, state, document });
      return { ...results, output: results.h };
    },
  };
}

describe('linearRecurrence', () => {
  holdSequenceLaws(operation(3), [1, 2, 3, 9]);

  it('is the recurrence, from zero or from a state', () => {
    const given = { a: [0.5, -1, 0], x: [1, 2, 3], state: [4] };
    const options = { batch: 1, length: 3, documents: false };
    expect([...runCase(operation(1), options, given).output]).toEqual([3, -1, 3]);
    const fresh = runCase(operation(1), { ...options, state: false }, given);
    expect([...fresh.output]).toEqual([1, 1, 3]);
    expect([[...fresh.state], [...fresh.document]]).toEqual([[3], [0]]);
  });

  it('starts documents from zero, also after an infinite state', () => {
    const given = { a: [2, 2, 2], x: [Number.POSITIVE_INFINITY, 1, 1], documents: [0, 1, 1] };
    const found = runCase(operation(1), { batch: 1, length: 3, state: false }, given);
    expect([...found.output]).toEqual([Number.POSITIVE_INFINITY, 1, 3]);
  });

  it('counts 2 operations per number', () => {
    const node = buildCase(operation(3), {}).output.producer?.node;
    expect(node?.operation.cost(node.inputs, node.outputs, node.attributes).model).toBe(2 * 2 * 9 * 3);
  });

  it('refuses operands that do not fit', () => {
    const graph = new Graph();
    const a = graph.source('input', 'a', [1, 5, 3]);
    const x = graph.source('input', 'x', [1, 5, 4]);
    expect(() => linearRecurrence({ a, x })).toThrow(
      `linearRecurrence: 'x' must be float32 or bfloat16 [1, 5, 3], not float32[1, 5, 4].`,
    );
    const documents = graph.source('input', 'documents', [1, 5], 'int32');
    const state = graph.source('state', 'state', [1, 3]);
    expect(() => linearRecurrence({ a, x: a, documents, state })).toThrow(`without 'document'`);
  });
});
