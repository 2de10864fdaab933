/**
 * Law: states held in persistent buffers and written in place, as generation does it, give what the whole sequence gives;
 * with programs of several lengths that share the buffers.
 */
import { describe, expect, it } from 'vitest';
import { compile, storeKey } from '../../src/compiler/index.ts';
import { isPersistent } from '../../src/graph/index.ts';
import type { Executor } from '../../src/runtime/index.ts';
import { createNativeExecutor, inspectNative } from '../../src/runtime/index.ts';
import { exact, normals, open, parameterValues, relativeError } from './evaluate.ts';
import { type Subject, subjects } from './subjects.ts';

const stable = subjects.filter(({ prefixStable }) => prefixStable);
const batch = 2;

/** Positions [from, to) of rows [B, L, D]. */
function cut(x: Float64Array, length: number, width: number, from: number, to: number): Float64Array {
  const parts = Array.from({ length: batch }, (_, row) =>
    x.subarray((row * length + from) * width, (row * length + to) * width),
  );
  return Float64Array.from(parts.flatMap((part) => [...part]));
}

/** Runs rows piece by piece against one store; every piece is its own program. */
async function stream(
  subject: Subject,
  x: Float64Array,
  length: number,
  executor: Executor,
): Promise<Float64Array> {
  const { width } = subject;
  const y = new Float64Array(x.length);
  const store = executor.createStore();
  const pieces = [2, 3, 1, 1, 1];
  for (let start = 0, piece = 0; start < length; piece++) {
    const end = Math.min(length, start + (pieces[piece] ?? 1));
    const built = subject.build({ batch, length: end - start, start, capacity: length });
    for (const [name, source] of built.before) {
      const value = built.after.get(name);
      if (value) built.graph.assign(source, value);
    }
    built.graph.output('y', built.y);
    const program = compile(built.graph, { name: `piece ${piece}`, threads: executor.threads });
    const values = parameterValues(built.parameters);
    for (const buffer of program.buffers) {
      if (buffer.role === 'workspace' || !isPersistent(buffer.role)) continue;
      const stored = store.tensor(storeKey(buffer), buffer.dtype, buffer.shape);
      const given = values.get(storeKey(buffer));
      if (given) stored.data.set(given);
    }
    const loaded = executor.load(program, store);
    loaded.inputs.get('x')?.set(cut(x, length, width, start, end));
    const positions = Int32Array.from(
      { length: batch * (end - start) },
      (_, i) => start + (i % (end - start)),
    );
    loaded.inputs.get('positions')?.set(positions);
    await loaded.run();
    const out = Float64Array.from(loaded.outputs.get('y') ?? []);
    for (let row = 0; row < batch; row++) {
      const size = (end - start) * width;
      y.set(out.subarray(row * size, (row + 1) * size), (row * length + start) * width);
    }
    loaded.dispose();
    start = end;
  }
  store.dispose();
  return y;
}

async function whole(subject: Subject, x: Float64Array, length: number): Promise<Float64Array> {
  const built = subject.build({ batch, length });
  const values = new Map<string, ArrayLike<number>>(parameterValues(built.parameters));
  values.set('input/x', x);
  values.set(
    'input/positions',
    Int32Array.from({ length: batch * length }, (_, i) => i % length),
  );
  const session = open(built.graph, { y: built.y });
  const results = await session.run(values);
  session.dispose();
  return results.get('y') ?? new Float64Array(0);
}

const native = inspectNative();
const executors: [string, () => Executor, number][] = [['reference', () => exact, 1e-12]];
if (native.available) executors.push(['native', () => createNativeExecutor({ threads: 2 }), 1e-5]);

describe.each(executors)('states in place on %s', (_, create, tolerance) => {
  const executor = create();
  it.each(stable)('$label', async (subject) => {
    const length = Math.max(...subject.lengths) + 3;
    const x = normals('x', batch * length * subject.width).map(Math.fround);
    const expected = await whole(subject, x, length);
    expect(relativeError(await stream(subject, x, length, executor), expected)).toBeLessThan(tolerance);
  });
});
