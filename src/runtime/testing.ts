/** For tests only: compiles a small graph, gives every source its values by name, and runs it on the reference executor. */
import type { CompileOptions, Program } from '../compiler/index.ts';
import { compile, storeKey } from '../compiler/index.ts';
import type { Graph } from '../graph/index.ts';
import { isPersistent } from '../graph/index.ts';
import type { RunOptions, RunStatistics, Store } from './executor.ts';
import type { ReferenceOptions } from './reference.ts';
import { createReferenceExecutor } from './reference.ts';

export type Given = Readonly<Record<string, ArrayLike<number>>>;

export interface TestRun {
  readonly program: Program;
  readonly outputs: Readonly<Record<string, number[]>>;
  readonly store: Store;
  readonly statistics: RunStatistics;
}

export interface TestOptions extends ReferenceOptions, RunOptions, Partial<CompileOptions> {}

/** Runs a graph once in float64 (unless asked otherwise); a source without values is an error. */
export async function runGraph(graph: Graph, given: Given, options: TestOptions = {}): Promise<TestRun> {
  const program = compile(graph, { name: 'test', threads: 1, ...options });
  const executor = createReferenceExecutor({ precision: options.precision ?? 'float64' });
  const store = executor.createStore();
  const values = (name: string): ArrayLike<number> => {
    const found = given[name];
    if (!found) throw new Error(`The test gives no values for '${name}'.`);
    return found;
  };
  for (const buffer of program.buffers) {
    if (buffer.role === 'workspace' || !isPersistent(buffer.role)) continue;
    store.tensor(storeKey(buffer), buffer.dtype, buffer.shape).data.set(values(buffer.name));
  }
  const loaded = executor.load(program, store);
  for (const [name, input] of loaded.inputs) input.set(values(name));
  const statistics = await loaded.run(options);
  const outputs = Object.fromEntries([...loaded.outputs].map(([name, output]) => [name, Array.from(output)]));
  loaded.dispose();
  return { program, outputs, store, statistics };
}

/** What a persistent tensor holds, by its key. */
export function stored(run: TestRun, key: string): number[] {
  const found = run.store.find(key);
  if (!found) throw new Error(`The store has no '${key}'; it has ${run.store.keys().join(', ')}.`);
  return Array.from(found.data);
}
