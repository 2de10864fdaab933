/**
 * The native executor: C++ kernels on a thread pool of their own, for the best instruction set of this CPU. Runs of one
 * executor are queued and happen one at a time: off the event loop, or, where they are so short that handing them over would
 * show, between two of its turns.
 */
import os from 'node:os';
import type { Program } from '../compiler/index.ts';
import { storeKey } from '../compiler/index.ts';
import { BraidError } from '../graph/index.ts';
import {
  type Addon,
  type AddonEngine,
  type AddonProgram,
  asBraidError,
  findAddon,
  fromAddon,
  requireAddon,
} from './addon.ts';
import type {
  Executor,
  LoadedProgram,
  NonFinite,
  RunOptions,
  RunStatistics,
  Store,
  TensorData,
} from './executor.ts';
import { NativeStore, viewBits } from './nativeStore.ts';

export interface NativeOptions {
  /** Threads, the caller's among them; a program must be compiled for the same number. Default: the CPUs available. */
  readonly threads?: number;
  /** Instruction set: `amx`, `avx512bf16`, `avx512`, `avx2` or `portable`. Default: `BRAID_ISA`, or the best there is. */
  readonly isa?: string;
  /**
   * For tests, slow: fills the arena with NaN before each run and reports the call that writes outside its outputs.
   * Default: whether `BRAID_CHECK_MEMORY` is 1.
   */
  readonly checkMemory?: boolean;
}

export interface NativeExecutor extends Executor {
  /** The instruction set in use. */
  readonly isa: string;
}

/** What `braid doctor` tells about the addon. */
export interface NativeReport {
  readonly available: boolean;
  /** Why it is not available, and what to do. */
  readonly reason?: string;
  /** Instruction sets that were compiled in and that this CPU can run, best first. */
  readonly isas: readonly string[];
  /** The one that an executor would use now. */
  readonly isa?: string;
  readonly compiler?: string;
}

export function inspectNative(): NativeReport {
  const found = findAddon();
  if (!('addon' in found)) return { available: false, reason: found.reason, isas: [] };
  const { variants, compiler } = found.addon.inspect();
  const isas = variants.filter(({ supported }) => supported).map(({ name }) => name);
  const wanted = process.env.BRAID_ISA ?? '';
  if (wanted !== '' && !isas.includes(wanted)) {
    const reason = `BRAID_ISA is '${wanted}', but this CPU and this build have ${isas.join(', ')}.`;
    return { available: false, reason, isas, compiler };
  }
  if (isas.length === 0) {
    const reason = 'The addon was built for another CPU. Build it here: npx braid doctor --build.';
    return { available: false, reason, isas, compiler };
  }
  return { available: true, isas, isa: wanted === '' ? isas[0] : wanted, compiler };
}

/** Throws `BraidError('native')` when the addon is missing or the instruction set is unknown or beyond this CPU. */
export function createNativeExecutor(options: NativeOptions = {}): NativeExecutor {
  const threads = options.threads ?? os.availableParallelism();
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw new BraidError('executor', `The number of threads must be 1 to 1024, not ${threads}.`);
  }
  const addon = requireAddon();
  const engine = fromAddon(() => new addon.Engine(threads, options.isa ?? process.env.BRAID_ISA ?? ''));
  const shared: Shared = {
    addon,
    engine,
    queue: new Queue(),
    checkMemory: options.checkMemory ?? process.env.BRAID_CHECK_MEMORY === '1',
  };
  return {
    name: 'native',
    threads,
    isa: engine.isa,
    createStore: () => new NativeStore(addon),
    load: (program, store) => new NativeProgram(program, ownStore(store), shared),
  };
}

/**
 * Seconds. A run as short as this is done by JavaScript's thread, with a turn of the event loop before it: others wait for
 * one run at most, and nobody has to wake a thread and be woken by it, which takes a tenth of a millisecond or two.
 * Not longer: where other processes want the cores too, a thread that slept is given one sooner than one that never does.
 */
const shortRun = 0.005;

interface Shared {
  readonly addon: Addon;
  readonly engine: AddonEngine;
  readonly queue: Queue;
  readonly checkMemory: boolean;
}

/** One task after the other; a failure does not stop those behind it. */
class Queue {
  #last: Promise<unknown> = Promise.resolve();

  add<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** Lets whatever waits for the event loop go first. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function ownStore(store: Store): NativeStore {
  if (store instanceof NativeStore) return store;
  throw new BraidError(
    'executor',
    'The native executor can only load programs against a store that it made itself.',
  );
}

class NativeProgram implements LoadedProgram {
  readonly program: Program;
  readonly inputs: ReadonlyMap<string, TensorData>;
  readonly outputs: ReadonlyMap<string, TensorData>;
  readonly #native: AddonProgram;
  readonly #shared: Shared;
  readonly #store: NativeStore;
  readonly #retained: string[] = [];
  readonly #arenaViews = new Map<number, ArrayBuffer>();
  #disposed = false;
  /** How long the last run took. */
  #seconds = Number.POSITIVE_INFINITY;

  constructor(program: Program, store: NativeStore, shared: Shared) {
    this.program = program;
    this.#shared = shared;
    this.#store = store;
    const { engine, checkMemory } = shared;
    this.#native = fromAddon(() =>
      engine.load(JSON.stringify(program), store.native, { poison: checkMemory, guard: checkMemory }),
    );
    for (const buffer of program.buffers) {
      if (buffer.offset !== undefined) continue;
      store.retain(storeKey(buffer), buffer.dtype, buffer.shape);
      this.#retained.push(storeKey(buffer));
    }
    this.inputs = this.#named(program.inputs);
    this.outputs = this.#named(program.outputs);
  }

  run({ profile = false, check = false }: RunOptions = {}): Promise<RunStatistics> {
    return this.#shared.queue.add(async () => {
      const short = this.#seconds < shortRun;
      if (short) await turn();
      if (this.#disposed) {
        throw new BraidError('executor', `Program '${this.program.name}' was disposed and cannot run.`);
      }
      try {
        const request = { profile, check };
        const result = short ? this.#native.runHere(request) : await this.#native.run(request);
        const { nonFinite, ...statistics } = result;
        this.#seconds = statistics.seconds;
        if (nonFinite !== undefined) throw this.#diverged(nonFinite);
        return statistics;
      } catch (error) {
        throw asBraidError(error);
      }
    });
  }

  /** A run under way ends safely; the views of inputs and outputs are taken away at once. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const key of this.#retained) this.#store.release(key);
    for (const buffer of this.#arenaViews.values()) this.#shared.addon.detach(buffer);
    this.#native.dispose();
  }

  #named(names: Readonly<Record<string, number>>): ReadonlyMap<string, TensorData> {
    return new Map(Object.entries(names).map(([name, index]) => [name, this.#view(index)]));
  }

  #view(index: number): TensorData {
    const buffer = this.program.buffers[index];
    if (!buffer) throw new BraidError('executor', `Program '${this.program.name}' has no buffer ${index}.`);
    if (buffer.offset === undefined) {
      return this.#store.tensor(storeKey(buffer), buffer.dtype, buffer.shape).data;
    }
    const view = this.#arenaViews.get(index) ?? this.#native.view(index);
    this.#arenaViews.set(index, view);
    return viewBits(view, buffer.dtype);
  }

  #diverged(index: number): BraidError {
    const { operation = '', path = '' } = this.program.calls[index] ?? {};
    const cause: NonFinite = { call: index, operation, path };
    const where = path === '' ? '' : ` in ${path}`;
    return new BraidError('diverged', `${operation}${where} produced a NaN or an infinity.`, { cause });
  }
}
