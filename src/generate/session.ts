/**
 * A sequence that grows: feed it tokens, get the logits of the next one. With states every token is computed once; a
 * prompt goes in pieces of few lengths, so that few programs are compiled, and caches double when they are full.
 */
import type { Block, StateBinding } from '../blocks/index.ts';
import { findStrategy, stableStrategies } from '../blocks/index.ts';
import { BraidError, elementCount } from '../graph/index.ts';
import type { ModelConfig } from '../models/config.ts';
import { blocksOf } from '../models/config.ts';
import type { Executor, LoadedProgram, Store, StoredTensor } from '../runtime/index.ts';
import type { Precision } from '../train/index.ts';
import { integerInput, numberInput } from '../train/index.ts';
import { pieceProgram } from './program.ts';
import type { SessionState, StateTensor } from './state.ts';
import { checkState } from './state.ts';
import type { WeightFormat } from './weightFormat.ts';
import { WeightCopies } from './weights.ts';

const PIECES = [512, 64, 8, 1];
const SMALLEST_CAPACITY = 256;

/** A model whose parameters are in the store. */
export interface GeneratingModel {
  readonly model: ModelConfig;
  readonly precision: Precision;
  /** Read weights in few bits instead of as they were trained. */
  readonly weights?: WeightFormat;
  readonly threads: number;
  /** Branches of a block at the same time, each on its share of the threads. */
  readonly lanes?: boolean;
  readonly executor: Executor;
  readonly store: Store;
}

export type Logits = Float32Array | Float64Array;

export interface Session {
  /** Tokens fed so far. */
  readonly length: number;
  /** Appends tokens (at least one) and returns the logits after the last, valid until the next call. */
  feed(tokens: ArrayLike<number>): Promise<Logits>;
  /** Bytes of what it carries from token to token. */
  readonly bytes: number;
  /** What it carries, copied. */
  snapshot(): SessionState;
  /**
   * Goes on from a state that a session of the same model gave. One that does not fit is a `BraidError('checkpoint')`, and
   * changes nothing.
   */
  restore(state: SessionState): void;
  /** Another session at the same place, which goes its own way from here. */
  copy(): Session;
  /** Forgets the sequence. */
  reset(): void;
  /** Frees programs and states; the parameters stay. */
  dispose(): void;
}

export interface SessionOptions {
  /** Compute the whole sequence again for every token: slow, and right for every model. */
  readonly recompute?: boolean;
}

/** A model whose routing depends on the length has no states to carry: without `recompute` that is an error. */
export function createSession(setup: GeneratingModel, { recompute = false }: SessionOptions = {}): Session {
  if (recompute) return new RecomputingSession(setup);
  const unstable = routedBlocks(blocksOf(setup.model)).find(
    ({ routing }) => !findStrategy(routing.strategy).prefixStable,
  );
  if (unstable) {
    throw new BraidError(
      'unsupported',
      `The routing strategy '${unstable.routing.strategy}' splits a sequence by its length: every new token changes the ` +
        'branch of earlier ones, so there is no state to go on from. Give --recompute to compute the whole ' +
        `sequence again for every token (slow), or train the strategy ${stableStrategies()}.`,
    );
  }
  return new StateSession(setup);
}

type RoutedBlock = Extract<Block, { kind: 'routed' }>;

/** In the order in which they are built. */
function routedBlocks(blocks: readonly Block[]): readonly RoutedBlock[] {
  return blocks.flatMap((block) => {
    if (block.kind === 'routed') return [block];
    if (block.kind === 'sequence') return routedBlocks(block.items);
    return block.kind === 'parallel' ? routedBlocks(block.branches) : [];
  });
}

class StateSession implements Session {
  readonly #setup: GeneratingModel;
  readonly #routed: readonly RoutedBlock[];
  readonly #programs = new Map<string, LoadedProgram>();
  readonly #states = new Map<string, StateBinding>();
  readonly #copies: WeightCopies;
  /** What tells the states of this session from those of others in the same store; chosen with the first states. */
  #scope = '';
  #capacity = 0;
  #length = 0;

  constructor(setup: GeneratingModel) {
    this.#setup = setup;
    this.#copies = new WeightCopies(setup);
    this.#routed = routedBlocks(blocksOf(setup.model));
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return [...this.#states.keys()].reduce((sum, name) => sum + this.#stored(name).data.byteLength, 0);
  }

  async feed(tokens: ArrayLike<number>): Promise<Logits> {
    requireTokens(tokens);
    this.#reserve(this.#length + tokens.length);
    let logits: Logits = new Float32Array(0);
    for (let at = 0; at < tokens.length; ) {
      const piece = PIECES.find((size) => size <= tokens.length - at) ?? 1;
      logits = await this.#run(tokens, at, piece);
      at += piece;
    }
    return logits;
  }

  snapshot(): SessionState {
    const tensors = [...this.#states.values()].map(({ name, dtype, shape }): StateTensor => {
      return { name, dtype, shape, data: this.#stored(name).data.slice() };
    });
    return { length: this.#length, capacity: this.#capacity, tensors };
  }

  restore(state: SessionState): void {
    const { capacity } = state;
    const bindings = capacity > 0 ? this.#bindings(capacity) : [];
    checkState(state, bindings);
    if (capacity !== this.#capacity) {
      this.#forget();
      if (capacity > 0) this.#allocate(capacity, bindings);
    }
    for (const { name, data } of state.tensors) this.#stored(name).data.set(data);
    this.#length = state.length;
  }

  copy(): Session {
    const session = new StateSession(this.#setup);
    session.restore(this.snapshot());
    return session;
  }

  async #run(tokens: ArrayLike<number>, at: number, piece: number): Promise<Logits> {
    const program = await this.#program(piece);
    const ids = integerInput(program.inputs, 'ids');
    const positions = integerInput(program.inputs, 'positions');
    for (let i = 0; i < piece; i++) {
      ids[i] = tokens[at + i];
      positions[i] = this.#length + i;
    }
    await program.run();
    this.#length += piece;
    return numberInput(program.outputs, 'logits');
  }

  /** The program of a piece that starts here: one for each way in which its positions can be routed. */
  async #program(piece: number): Promise<LoadedProgram> {
    const start = this.#length;
    const routes = this.#routed.map(({ routing, branches }, layer) =>
      findStrategy(routing.strategy).route({
        ...{ routing, layer, start, length: piece, ratio: 0 },
        branches: branches.length,
      }),
    );
    // Only the piece that starts a row takes in what stands before it.
    const first = start === 0 && this.#setup.model.metaTokens > 0;
    const key = `${piece} ${first} ${JSON.stringify(routes)}`;
    const known = this.#programs.get(key);
    if (known) return known;
    const { model, precision, weights, threads, lanes, executor, store } = this.#setup;
    const where = { length: piece, start, capacity: this.#capacity, scope: this.#scope };
    const made = pieceProgram(model, { ...where, precision, weights, threads, lanes });
    await this.#copies.make(made);
    const loaded = executor.load(made.program, store);
    this.#programs.set(key, loaded);
    return loaded;
  }

  /** Makes room for `length` tokens. Programs are made for one capacity, so they go when it grows. */
  #reserve(length: number): void {
    if (length <= this.#capacity) return;
    let capacity = Math.max(SMALLEST_CAPACITY, this.#capacity);
    while (capacity < length) capacity *= 2;
    this.#disposePrograms();
    this.#allocate(capacity, this.#bindings(capacity));
  }

  /** The states of a session with room for `capacity` tokens. */
  #bindings(capacity: number): readonly StateBinding[] {
    const { model, precision, threads } = this.#setup;
    return pieceProgram(model, { length: 1, start: 0, capacity, precision, threads }).states;
  }

  #allocate(capacity: number, states: readonly StateBinding[]): void {
    const { store } = this.#setup;
    if (this.#states.size === 0) this.#scope = freeScope(store);
    for (const state of states) {
      resize(store, this.#key(state.name), this.#states.get(state.name), state);
      this.#states.set(state.name, state);
    }
    this.#capacity = capacity;
  }

  #key(name: string): string {
    return `state/${this.#scope}${name}`;
  }

  #stored(name: string): StoredTensor {
    const found = this.#setup.store.find(this.#key(name));
    if (found) return found;
    throw new BraidError('executor', `The session's state '${name}' is no longer in its store.`);
  }

  reset(): void {
    for (const name of this.#states.keys()) this.#stored(name).data.fill(0);
    this.#length = 0;
  }

  #disposePrograms(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }

  #forget(): void {
    this.#disposePrograms();
    for (const name of this.#states.keys()) this.#setup.store.delete(this.#key(name));
    this.#states.clear();
    this.#capacity = 0;
    this.#length = 0;
  }

  dispose(): void {
    this.#forget();
  }
}

/** The first number under which no session keeps states in the store. */
function freeScope(store: Store): string {
  const taken = new Set(store.keys().map((key) => /^state\/(\d+):/.exec(key)?.[1]));
  let number = 1;
  while (taken.has(String(number))) number++;
  return `${number}:`;
}

/** Gives a state its new shape and keeps its values: caches [B, C, …] grow along C, everything else keeps its shape. */
function resize(store: Store, key: string, before: StateBinding | undefined, after: StateBinding): void {
  const old = before && store.find(key)?.data.slice();
  if (before && after.kind !== 'append') return;
  if (before) store.delete(key);
  const { data } = store.tensor(key, after.dtype, after.shape);
  if (!before || !old) return;
  const [rows] = after.shape;
  const from = elementCount(before.shape) / rows;
  const to = elementCount(after.shape) / rows;
  for (let row = 0; row < rows; row++) data.set(old.subarray(row * from, (row + 1) * from), row * to);
}

class RecomputingSession implements Session {
  readonly #setup: GeneratingModel;
  readonly #copies: WeightCopies;
  #tokens: number[] = [];

  constructor(setup: GeneratingModel) {
    this.#setup = setup;
    this.#copies = new WeightCopies(setup);
  }

  get length(): number {
    return this.#tokens.length;
  }

  async feed(tokens: ArrayLike<number>): Promise<Logits> {
    requireTokens(tokens);
    this.#tokens.push(...Array.from(tokens));
    const { model, precision, weights, threads, lanes, executor, store } = this.#setup;
    const { length } = this.#tokens;
    const made = pieceProgram(model, { length, start: 0, precision, weights, threads, lanes });
    await this.#copies.make(made);
    const program = executor.load(made.program, store);
    integerInput(program.inputs, 'ids').set(this.#tokens);
    integerInput(program.inputs, 'positions').set(Array.from(this.#tokens.keys()));
    await program.run();
    const logits = numberInput(program.outputs, 'logits').slice();
    program.dispose();
    return logits;
  }

  reset(): void {
    this.#tokens = [];
  }

  /** The tokens themselves are the state. */
  get bytes(): number {
    return this.#tokens.length * Int32Array.BYTES_PER_ELEMENT;
  }

  snapshot(): SessionState {
    const { length } = this.#tokens;
    const tokens = { ...this.#binding(length), data: Int32Array.from(this.#tokens) };
    return { length, capacity: 0, tensors: [tokens] };
  }

  restore(state: SessionState): void {
    checkState(state, [this.#binding(state.length)]);
    this.#tokens = Array.from(state.tensors[0].data);
  }

  copy(): Session {
    const session = new RecomputingSession(this.#setup);
    session.restore(this.snapshot());
    return session;
  }

  #binding(length: number): Omit<StateTensor, 'data'> {
    return { name: 'tokens', dtype: 'int32', shape: [1, length] };
  }

  dispose(): void {
    this.reset();
  }
}

function requireTokens(tokens: ArrayLike<number>): void {
  if (tokens.length > 0) return;
  throw new BraidError(
    'usage',
    'Nothing to continue: give at least one token (the separator begins a text).',
  );
}
