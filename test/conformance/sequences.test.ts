/**
 * Laws of sequences: pieces, rows, packed documents, causality, prefixes. Values in float64, where equal means equal to
 * rounding.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementCount, type Tensor } from '../../src/graph/index.ts';
import { normals, open, parameterValues, relativeError } from './evaluate.ts';
import { type Setup, type Subject, subjects } from './subjects.ts';

const tolerance = 1e-12;
const stable = subjects.filter(({ prefixStable }) => prefixStable);

/** Rows of a subject: `x` is [B, L, D], `documents` [B, L]. */
interface Rows {
  readonly batch: number;
  readonly length: number;
  readonly x: Float64Array;
  readonly documents?: Int32Array | undefined;
}

function randomRows(subject: Subject, batch: number, length: number): Rows {
  return { batch, length, x: normals('x', batch * length * subject.width) };
}

/** Rows packed with documents that start where `starts` says, the same in each row but for a shift by the row. */
function packed(rows: Rows, starts: readonly number[]): Rows {
  const documents = Int32Array.from({ length: rows.batch * rows.length }, (_, i) => {
    const position = i % rows.length;
    return starts.reduce((start, next) => (next <= position ? next : start), 0);
  });
  return { ...rows, documents };
}

/** Some positions of every row, or some rows. */
function slice(
  subject: Subject,
  rows: Rows,
  [row, rowEnd]: [number, number],
  [from, to]: [number, number],
): Rows {
  const pick = <T extends Float64Array | Int32Array>(values: T, size: number): T => {
    const parts: number[] = [];
    for (let b = row; b < rowEnd; b++) {
      parts.push(...values.subarray((b * rows.length + from) * size, (b * rows.length + to) * size));
    }
    return (values instanceof Int32Array ? Int32Array.from(parts) : Float64Array.from(parts)) as T;
  };
  return {
    batch: rowEnd - row,
    length: to - from,
    x: pick(rows.x, subject.width),
    documents: rows.documents && pick(rows.documents, 1),
  };
}

interface Outcome {
  readonly y: Float64Array;
  readonly states: Map<string, Float64Array>;
}

/** Runs rows through a subject; with `states` (empty: zeros) it takes them on and gives the new ones. */
async function forward(
  subject: Subject,
  rows: Rows,
  more: Partial<Setup> = {},
  states: ReadonlyMap<string, Float64Array> = new Map(),
): Promise<Outcome> {
  const { batch, length, x, documents } = rows;
  const start = more.start ?? 0;
  const built = subject.build({ batch, length, documents: documents !== undefined, ...more });
  const values = new Map<string, ArrayLike<number>>(parameterValues(built.parameters));
  values.set('input/x', x);
  values.set(
    'input/positions',
    Int32Array.from({ length: batch * length }, (_, i) => start + (i % length)),
  );
  if (documents) values.set('input/documents', documents);
  for (const [name, tensor] of built.before) {
    values.set(`state/${name}`, states.get(name) ?? new Float64Array(elementCount(tensor.shape)));
  }
  const after = [...built.after.keys()];
  const outputs: Record<string, Tensor> = { y: built.y };
  for (const name of after) {
    const tensor = built.after.get(name);
    if (tensor) outputs[`state ${name}`] = tensor;
  }
  const session = open(built.graph, outputs);
  const results = await session.run(values);
  session.dispose();
  const get = (name: string): Float64Array => results.get(name) ?? new Float64Array(0);
  // A state that the piece does not touch stays as it was.
  return {
    y: get('y'),
    states: new Map([...states, ...after.map((name) => [name, get(`state ${name}`)] as const)]),
  };
}

/** The rows in pieces that end where `cuts` says, states handed on; outputs joined. */
async function inPieces(
  subject: Subject,
  rows: Rows,
  cuts: readonly number[],
  capacity: number,
): Promise<Outcome> {
  const y = new Float64Array(rows.x.length);
  let states = new Map<string, Float64Array>();
  let start = 0;
  for (const end of [...cuts, rows.length]) {
    const piece = slice(subject, rows, [0, rows.batch], [start, end]);
    const outcome = await forward(subject, piece, { start, capacity }, states);
    states = outcome.states;
    for (let row = 0; row < rows.batch; row++) {
      const size = (end - start) * subject.width;
      y.set(outcome.y.subarray(row * size, (row + 1) * size), (row * rows.length + start) * subject.width);
    }
    start = end;
  }
  return { y, states };
}

function expectEqual(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  expect(relativeError(actual, expected), what).toBeLessThan(tolerance);
}

function lengthsOf(subject: Subject): number[] {
  return [...new Set([1, 2, 3, ...subject.lengths])];
}

const everyPosition = (length: number): number[] => Array.from({ length: length - 1 }, (_, t) => t + 1);

describe('pieces: a whole sequence equals token by token, outputs and states', () => {
  it.each(stable)('$label', async (subject) => {
    for (const length of lengthsOf(subject)) {
      for (const starts of [undefined, [1, Math.ceil(length / 2)]]) {
        const plain = randomRows(subject, 2, length);
        const rows = starts ? packed(plain, starts) : plain;
        const capacity = length + 1;
        const whole = await forward(subject, rows, { capacity });
        const steps = await inPieces(subject, rows, everyPosition(length), capacity);
        const what = `length ${length}${starts ? ', packed' : ''}`;
        expectEqual(steps.y, whole.y, what);
        for (const [name, state] of whole.states)
          expectEqual(steps.states.get(name) ?? [], state, `${what}: ${name}`);
        expectEqual(whole.y, (await forward(subject, rows)).y, `${what}: with and without states`);
      }
    }
  });
});

describe('pieces: a whole sequence equals any split', () => {
  it.each(stable)('$label', async (subject) => {
    const length = Math.max(...subject.lengths);
    const rows = packed(randomRows(subject, 1, length), [Math.floor(length / 3)]);
    const whole = await forward(subject, rows, { capacity: length });
    await fc.assert(
      fc.asyncProperty(fc.subarray(everyPosition(length)), async (cuts) => {
        const pieces = await inPieces(subject, rows, cuts, length);
        expectEqual(pieces.y, whole.y, `cuts ${cuts}`);
        for (const [name, state] of whole.states) expectEqual(pieces.states.get(name) ?? [], state, name);
      }),
      { numRuns: 6, seed: 1 },
    );
  });
});

describe('rows: a batch equals its rows one by one', () => {
  it.each(subjects)('$label', async (subject) => {
    const length = subject.lengths[0];
    const rows = packed(randomRows(subject, 3, length), [2]);
    const whole = await forward(subject, rows);
    const size = length * subject.width;
    for (let row = 0; row < rows.batch; row++) {
      const alone = await forward(subject, slice(subject, rows, [row, row + 1], [0, length]));
      expectEqual(alone.y, whole.y.subarray(row * size, (row + 1) * size), `row ${row}`);
    }
  });
});

describe('packing: packed documents equal the same documents alone, each at its start position', () => {
  it.each(stable.filter(({ packs }) => packs))('$label', async (subject) => {
    const length = Math.max(...subject.lengths) + 2;
    const starts = [0, 1, 3, Math.ceil(length / 2) + 1];
    const rows = packed(randomRows(subject, 1, length), starts);
    const whole = await forward(subject, rows);
    for (const [index, start] of starts.entries()) {
      const end = starts[index + 1] ?? length;
      const { x } = slice(subject, rows, [0, 1], [start, end]);
      const alone = await forward(subject, { batch: 1, length: end - start, x }, { start });
      expectEqual(
        alone.y,
        whole.y.subarray(start * subject.width, end * subject.width),
        `document at ${start}`,
      );
    }
  });
});

describe('causality: an output does not depend on anything after it', () => {
  it.each(subjects)('$label', async (subject) => {
    const length = Math.max(...subject.lengths);
    const rows = randomRows(subject, 1, length);
    const whole = await forward(subject, rows);
    for (const cut of [1, Math.floor(length / 2), length - 1]) {
      const x = Float64Array.from(rows.x);
      x.set(normals('changed', (length - cut) * subject.width), cut * subject.width);
      const changed = await forward(subject, { ...rows, x });
      const before = cut * subject.width;
      expect([...changed.y.subarray(0, before)], `changed from ${cut} on`).toEqual([
        ...whole.y.subarray(0, before),
      ]);
      expect(relativeError(changed.y.subarray(before), whole.y.subarray(before))).toBeGreaterThan(1e-3);
    }
  });
});

describe('prefixes: appending tokens never changes an earlier output', () => {
  it.each(stable)('$label', async (subject) => {
    const length = Math.max(...subject.lengths);
    const rows = randomRows(subject, 1, length);
    const whole = await forward(subject, rows);
    for (const prefix of [1, Math.floor(length / 2), length - 1]) {
      const short = await forward(subject, slice(subject, rows, [0, 1], [0, prefix]));
      expectEqual(short.y, whole.y.subarray(0, prefix * subject.width), `the first ${prefix}`);
    }
  });

  it.each(subjects.filter(({ prefixStable }) => !prefixStable))(
    '$label has no such law and no states',
    (subject) => {
      expect(() => subject.build({ batch: 1, length: 4, capacity: 8 })).toThrow(/splits a row by its length/);
    },
  );
});
