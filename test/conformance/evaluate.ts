/** Runs subjects: values for every source, programs on an executor, results by name. */
import { compile, storeKey } from '../../src/compiler/index.ts';
import { elementCount, type Graph, isPersistent, type Tensor } from '../../src/graph/index.ts';
import { initialize, type ParameterSpec, randomStream } from '../../src/nn/index.ts';
import { roundToBfloat16 } from '../../src/ops/index.ts';
import type { Executor, TensorData } from '../../src/runtime/index.ts';
import { createReferenceExecutor } from '../../src/runtime/index.ts';

/** Values by the key of the source (`parameter/…`, `state/…`, `input/…`). */
export type Values = ReadonlyMap<string, ArrayLike<number>>;
export type Results = ReadonlyMap<string, Float64Array>;

export const exact: Executor = createReferenceExecutor({ precision: 'float64' });

export function normals(name: string, count: number, deviation = 1): Float64Array {
  const stream = randomStream(11, name);
  return Float64Array.from({ length: count }, (_, index) => deviation * stream.normal(index));
}

/**
 * Parameters away from their start, where nothing is small or equal by accident: matrices of about 1/√inputs, time step
 * biases about 0 (at their start steps are so short that differences drown in rounding), the rest moved by 0.3.
 */
export function parameterValues(specs: readonly ParameterSpec[]): Map<string, Float64Array> {
  return new Map(
    specs.map((spec) => {
      const start = new Float32Array(elementCount(spec.shape));
      initialize(spec, 5, start);
      const { kind } = spec.initializer;
      const deviation = kind === 'normal' ? spec.shape[spec.shape.length - 1] ** -0.5 : 0.3;
      const noise = normals(spec.name, start.length, kind === 'inverseSoftplus' ? 1 : deviation);
      const moved =
        kind === 'normal' || kind === 'inverseSoftplus' ? noise : noise.map((value, i) => start[i] + value);
      // Float32 numbers, so that every executor starts from the same ones.
      return [`parameter/${spec.name}`, moved.map(Math.fround)];
    }),
  );
}

function write(target: TensorData, dtype: string, values: ArrayLike<number>): void {
  if (dtype !== 'bfloat16') {
    target.set(values);
    return;
  }
  const rounded = Float32Array.from(values, roundToBfloat16);
  if (!(target instanceof Uint16Array)) target.set(rounded);
  else for (const [index, bits] of new Uint32Array(rounded.buffer).entries()) target[index] = bits >>> 16;
}

/** A graph ready to run again and again with other values. */
export interface Session {
  run(values: Values): Promise<Results>;
  dispose(): void;
}

/**
 * Loads a graph with the named outputs. Every persistent source is written before each run (a shadow from the values of
 * its parameter); a source without values is an error.
 */
export function open(
  graph: Graph,
  outputs: Readonly<Record<string, Tensor>>,
  executor: Executor = exact,
  lanes = false,
): Session {
  for (const [name, tensor] of Object.entries(outputs)) graph.output(name, tensor);
  const program = compile(graph, { name: 'conformance', threads: executor.threads, lanes });
  const store = executor.createStore();
  const persistent = program.buffers.flatMap((buffer) =>
    buffer.role !== 'workspace' && isPersistent(buffer.role)
      ? [{ buffer, stored: store.tensor(storeKey(buffer), buffer.dtype, buffer.shape) }]
      : [],
  );
  const loaded = executor.load(program, store);
  return {
    async run(values) {
      const get = (key: string): ArrayLike<number> => {
        const found = values.get(key);
        if (!found) throw new Error(`No values for '${key}'.`);
        return found;
      };
      for (const { buffer, stored } of persistent) {
        const role = buffer.role === 'shadow' ? 'parameter' : buffer.role;
        write(stored.data, buffer.dtype, get(storeKey({ role, name: buffer.name })));
      }
      for (const [name, input] of loaded.inputs) input.set(get(`input/${name}`));
      await loaded.run();
      return new Map([...loaded.outputs].map(([name, output]) => [name, Float64Array.from(output)]));
    },
    dispose() {
      loaded.dispose();
      store.dispose();
    },
  };
}

/** Largest absolute difference over the largest absolute value of `expected`. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = actual.length === expected.length ? 0 : Number.POSITIVE_INFINITY;
  let largest = 1e-30;
  for (let i = 0; i < expected.length; i++) {
    // A NaN must not pass as a small difference.
    const distance = Math.abs(actual[i] - expected[i]);
    difference = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : Math.max(difference, distance);
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  return difference / largest;
}
