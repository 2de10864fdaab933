/**
 * The oracle: runs the plain meaning of every operation, one after the other, on one thread. Slow and obvious. It keeps to
 * the planned arena, poisoned before each run, and interleaves the calls of lanes, so that a mistake in a plan
 * shows as a wrong value.
 */
import type { Program, ProgramBuffer, ProgramCall } from '../compiler/index.ts';
import { PROGRAM_VERSION, storeKey } from '../compiler/index.ts';
import type { Operand, Operation } from '../graph/index.ts';
import { BraidError, elementCount, findOperation } from '../graph/index.ts';
import '../ops/index.ts';
import type {
  CallTime,
  Executor,
  LaneStatistics,
  LoadedProgram,
  NonFinite,
  RunOptions,
  RunStatistics,
  Store,
} from './executor.ts';
import { ReferenceStore } from './referenceStore.ts';
import type { ReferencePrecision, ReferenceValues } from './referenceValues.ts';
import { elementBytes, viewValues } from './referenceValues.ts';

export interface ReferenceOptions {
  /** `float64`: float tensors hold doubles and nothing is rounded to bfloat16. Default `float32`. */
  readonly precision?: ReferencePrecision;
}

export function createReferenceExecutor({ precision = 'float32' }: ReferenceOptions = {}): Executor {
  return {
    name: 'reference',
    threads: 1,
    createStore: () => new ReferenceStore(precision),
    load: (program, store) => new ReferenceProgram(program, ownStore(store, precision)),
  };
}

function ownStore(store: Store, precision: ReferencePrecision): ReferenceStore {
  if (store instanceof ReferenceStore && store.precision === precision) return store;
  throw new BraidError(
    'executor',
    `The reference executor (${precision}) can only load programs against a store that it made itself.`,
  );
}

/** A call with its operands found. */
interface BoundCall {
  readonly call: ProgramCall;
  readonly operation: Operation;
  readonly inputs: readonly (Operand | undefined)[];
  readonly outputs: readonly (Operand<ReferenceValues> | undefined)[];
}

class ReferenceProgram implements LoadedProgram {
  readonly program: Program;
  readonly inputs: ReadonlyMap<string, ReferenceValues>;
  readonly outputs: ReadonlyMap<string, ReferenceValues>;
  readonly #calls: readonly BoundCall[];
  /** All of the arena but the inputs, which the host may write once for many runs. */
  readonly #poisoned: readonly Uint8Array[];
  #disposed = false;

  constructor(program: Program, store: ReferenceStore) {
    if (program.version !== PROGRAM_VERSION) {
      throw new BraidError(
        'executor',
        `Program '${program.name}' has version ${program.version}; this executor runs version ${PROGRAM_VERSION}.`,
      );
    }
    this.program = program;
    const arena = new Arena(program, store.precision);
    const operands = program.buffers.map(
      (buffer): Operand<ReferenceValues> => ({
        shape: buffer.shape,
        dtype: buffer.dtype,
        values:
          buffer.offset === undefined
            ? store.tensor(storeKey(buffer), buffer.dtype, buffer.shape).data
            : arena.view(buffer, buffer.offset),
      }),
    );
    const find = (index: number | null): Operand<ReferenceValues> | undefined =>
      index === null ? undefined : operands[index];
    const named = (names: Readonly<Record<string, number>>): ReadonlyMap<string, ReferenceValues> =>
      new Map(Object.entries(names).map(([name, index]) => [name, operands[index].values]));

    this.#calls = program.calls.map((call) => ({
      call,
      operation: findOperation(call.operation),
      inputs: call.inputs.map(find),
      outputs: call.outputs.map(find),
    }));
    this.inputs = named(program.inputs);
    this.outputs = named(program.outputs);
    this.#poisoned = arena.without(Object.values(program.inputs).map((index) => program.buffers[index]));
  }

  async run({ profile = false, check = false }: RunOptions = {}): Promise<RunStatistics> {
    if (this.#disposed) {
      throw new BraidError('executor', `Program '${this.program.name}' was disposed and cannot run.`);
    }
    for (const bytes of this.#poisoned) bytes.fill(0xff);
    const begin = performance.now();
    const calls: CallTime[] = [];
    const lanes: LaneStatistics[] = [];
    const evaluate = (index: number): number => {
      const start = performance.now();
      this.#evaluate(index, check);
      const seconds = (performance.now() - start) / 1000;
      if (profile) calls.push({ call: index, start: (start - begin) / 1000, seconds });
      return seconds;
    };
    for (const item of this.program.schedule) {
      if ('call' in item) evaluate(item.call);
      else {
        const busy = interleave(
          item.lanes.map((lane) => lane.calls),
          evaluate,
        );
        const seconds = busy.reduce((sum, lane) => sum + lane, 0);
        lanes.push({ group: item.group, seconds, busy, work: busy });
      }
    }
    const seconds = (performance.now() - begin) / 1000;
    return profile ? { seconds, lanes, calls } : { seconds, lanes };
  }

  dispose(): void {
    this.#disposed = true;
  }

  #evaluate(index: number, check: boolean): void {
    const { call, operation, inputs, outputs } = this.#calls[index];
    operation.evaluate(inputs, outputs, call.attributes);
    if (!check) return;
    const finite = outputs.every((output) => !output || output.values.every(Number.isFinite));
    if (finite) return;
    const cause: NonFinite = { call: index, operation: call.operation, path: call.path };
    throw new BraidError(
      'diverged',
      `${call.operation}${call.path === '' ? '' : ` in ${call.path}`} produced a NaN or an infinity.`,
      { cause },
    );
  }
}

/**
 * Every lane does half of its calls, then the lanes finish in reverse order: as good an order as any that lanes may take, and one in
 * which a plan that counts on equal pace fails. Returns the seconds of each lane.
 */
function interleave(lanes: readonly (readonly number[])[], evaluate: (call: number) => number): number[] {
  const busy = lanes.map(() => 0);
  const run = (lane: number, calls: readonly number[]): void => {
    for (const call of calls) busy[lane] += evaluate(call);
  };
  const half = (calls: readonly number[]): number => calls.length >> 1;
  lanes.forEach((calls, lane) => {
    run(lane, calls.slice(0, half(calls)));
  });
  for (const [lane, calls] of [...lanes.entries()].reverse()) run(lane, calls.slice(half(calls)));
  return busy;
}

/**
 * The planned arena, stretched by a constant factor: a BF16 number takes two bytes in the plan, but four or eight here.
 */
class Arena {
  readonly #memory: ArrayBuffer;
  readonly #stretch: number;
  readonly #precision: ReferencePrecision;

  constructor({ arenaBytes, buffers }: Program, precision: ReferencePrecision) {
    let stretch = 1;
    for (const { dtype } of buffers) {
      stretch = Math.max(stretch, elementBytes(dtype, precision) / (dtype === 'bfloat16' ? 2 : 4));
    }
    this.#stretch = stretch;
    this.#memory = new ArrayBuffer(arenaBytes * stretch);
    this.#precision = precision;
  }

  view({ shape, dtype }: ProgramBuffer, offset: number): ReferenceValues {
    return viewValues(this.#memory, offset * this.#stretch, elementCount(shape), dtype, this.#precision);
  }

  /** The parts of the arena outside the given buffers. */
  without(kept: readonly ProgramBuffer[]): readonly Uint8Array[] {
    const parts: Uint8Array[] = [];
    let from = 0;
    const ranges = kept.map(
      ({ offset = 0, bytes }) => [offset * this.#stretch, bytes * this.#stretch] as const,
    );
    for (const [start, length] of [...ranges].sort(([a], [b]) => a - b)) {
      if (start > from) parts.push(new Uint8Array(this.#memory, from, start - from));
      from = Math.max(from, start + length);
    }
    parts.push(new Uint8Array(this.#memory, from));
    return parts;
  }
}
