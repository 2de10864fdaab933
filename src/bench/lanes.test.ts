import { describe, expect, it } from 'vitest';
import { compile } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import { add, scale } from '../ops/index.ts';
import { groupTimes } from './lanes.ts';

function program(lanes: boolean) {
  const graph = new Graph();
  const x = graph.source('input', 'x', [4]);
  const branch = (index: number) =>
    graph.lane({ group: 'b', index }, () => graph.scope(`b.branch${index}`, () => scale(x, index + 2)));
  graph.output('y', add(branch(0), branch(1)));
  return compile(graph, { name: 'p', threads: 2, lanes });
}

describe('the times of a group', () => {
  const on = program(true);
  const off = program(false);

  it('are medians of its lanes, beside the same calls without lanes', () => {
    const runs = [1, 2, 9].map((factor) => ({
      seconds: 10,
      lanes: [
        { group: 'b', seconds: 4 * factor, busy: [factor, 2 * factor], work: [0.5 * factor, 2.5 * factor] },
      ],
    }));
    const alone = {
      seconds: 10,
      lanes: [],
      calls: off.calls.map((_, call) => ({ call, start: 0, seconds: 3 })),
    };
    expect(groupTimes({ program: on, runs }, { program: off, runs: [alone] })).toEqual([
      {
        group: 'b',
        seconds: 8,
        busy: [2, 4],
        work: [1, 5],
        threads: [1, 1],
        balance: 0.75,
        evenness: 0.6,
        withoutLanes: 6,
      },
    ]);
  });

  it('are none where the program has no lanes', () => {
    expect(groupTimes({ program: off, runs: [] }, { program: off, runs: [] })).toEqual([]);
  });
});
