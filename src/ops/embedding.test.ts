import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { embedding } from './embedding.ts';
import { checkGradient, floats, givenFloats, integers, randomIntegers, run } from './testing.ts';

describe('embedding', () => {
  it('takes rows of the table', () => {
    const table = givenFloats([3, 2], [1, 2, 3, 4, 5, 6]);
    const [y] = run((t, ids) => embedding(t, ids), [table, integers([1, 3], [2, 0, 2])]);
    expect([...y]).toEqual([5, 6, 1, 2, 5, 6]);
  });

  it('adds the gradients of a row that is used more than once; unused rows get zero', () => {
    checkGradient((t, ids) => embedding(t, ids), [floats([5, 3]), integers([2, 2], [1, 1, 4, 1])]);
    checkGradient((t, ids) => embedding(t, ids), [floats([63, 1]), randomIntegers([3, 21], 0, 63)]);
  });

  it.each([-1, 3])('refuses the id %i when it runs', (id) => {
    expect(() => run((t, ids) => embedding(t, ids), [floats([3, 2]), integers([1, 2], [0, id])])).toThrow(
      `embedding: id ${id} at index 1 is outside [0, 3).`,
    );
  });

  it('counts the rows read, not the table', () => {
    const graph = new Graph();
    const table = graph.source('parameter', 'table', [1000, 8]);
    const ids = graph.source('input', 'ids', [2, 3], 'int32');
    const node = embedding(table, ids).producer?.node;
    expect(node?.operation.cost(node.inputs, node.outputs, node.attributes).bytes).toBe(4 * (6 + 2 * 48));
  });

  it('refuses tables and ids of the wrong kind', () => {
    const graph = new Graph();
    const table = graph.source('parameter', 'table', [10, 8]);
    const ids = graph.source('input', 'ids', [3], 'int32');
    expect(() => embedding(table, ids)).toThrow("embedding: 'ids' must have the axes [B, L]");
    expect(() => embedding(ids, ids)).toThrow("'table' is int32[3]; allowed: float32.");
  });
});
