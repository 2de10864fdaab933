/** What stands before and between the positions of two rows: documents, and states with documents of their own. */
import { integers } from '../../src/ops/testing.ts';
import type { Given } from './compare.ts';

/** Document starts of rows, each given by the lengths of its documents; starts of earlier pieces are negative. */
export function documentsOf(rows: readonly (readonly number[])[], before = 0): Given {
  const starts = rows.map((lengths) => {
    let start = -before;
    return lengths.flatMap((length) => {
      const own = Array.from({ length }, () => start);
      start += length;
      return own;
    });
  });
  return integers([rows.length, starts[0].length], starts.flat());
}

/** Documents, states and the documents of the states. */
export interface History {
  readonly title: string;
  readonly documents?: Given;
  readonly state: boolean;
  readonly document?: Given;
}

/** All combinations that make sense. */
function histories(length: number): History[] {
  const changing = documentsOf([Array(length).fill(1), Array(length).fill(1)]);
  const half = Math.ceil(length / 2);
  const twoParts = documentsOf([[length], length > 1 ? [half, length - half] : [1]]);
  return [
    { title: 'plain', state: false },
    { title: 'state', state: true },
    { title: 'documents', documents: twoParts, state: false },
    { title: 'a document each', documents: changing, state: true, document: integers([2], [0, 0]) },
    { title: 'documents and state', documents: twoParts, state: true, document: integers([2], [0, -3]) },
  ];
}

/** All histories for one of the sizes, two for each of the others. */
export function historiesFor(size: number, length: number): History[] {
  const all = histories(length);
  return size === 3 ? all : [all[size % 5], all[(size + 2) % 5]];
}
