/**
 * Scores texts that begin alike without computing their beginning twice: it goes through the model once, in pieces; its
 * states are copied into one row per text; the rows go on together. What stands after the end of a shorter row is
 * computed and not read. Shapes: B rows, S tokens after the beginning.
 */
import type { StateBinding } from '../blocks/index.ts';
import { findStrategy } from '../blocks/index.ts';
import { BraidError } from '../graph/index.ts';
import type { LoadedProgram } from '../runtime/index.ts';
import { checkMemory, integerInput, numberInput, planMemory } from '../train/index.ts';
import type { Continuation, ContinuationScorer, Likelihood } from './continuation.ts';
import type { TokenScore } from './logProbability.ts';
import { combine, scoreToken } from './logProbability.ts';
import type { EvaluatedModel } from './model.ts';
import { ProgramShelf } from './model.ts';
import { lengthBoundStrategy, routedBlocksOf } from './routes.ts';
import type { ScoringOptions } from './scoringProgram.ts';
import { scoringProgram, stateName } from './scoringProgram.ts';
import { WholeScorer } from './wholeScorer.ts';

const longestPiece = 512;
const smallestCapacity = 256;

/** The scorer that suits the model: beginnings are shared wherever its routing allows states. */
export function createContinuationScorer(model: EvaluatedModel): ContinuationScorer {
  const strategy = lengthBoundStrategy(model.model);
  if (strategy === undefined) return new PrefixScorer(model);
  return new WholeScorer(
    model,
    `the routing strategy '${strategy}' splits a text by its length, so that every choice was computed whole and took its own split`,
  );
}

export class PrefixScorer implements ContinuationScorer {
  readonly recomputes = undefined;
  readonly #model: EvaluatedModel;
  readonly #shelf: ProgramShelf;
  /** After how many positions the routing of all blocks repeats. */
  readonly #period: number;
  /** The states by number of rows. */
  readonly #states = new Map<number, readonly StateBinding[]>();
  #capacity = 0;

  constructor(model: EvaluatedModel) {
    this.#model = model;
    this.#shelf = new ProgramShelf(model);
    this.#period = routedBlocksOf(model.model)
      .map(({ routing, branches }) => findStrategy(routing.strategy).period(routing, branches.length))
      .reduce(leastCommonMultiple, 1);
  }

  async score(group: readonly Continuation[], greedy: boolean): Promise<readonly Likelihood[]> {
    const shared = sharedLength(group);
    const rest = Math.max(...group.map(({ tokens }) => tokens.length - 1)) - shared;
    const length = rest > 0 ? roundedLength(rest) : 0;
    this.#reserve(shared + length);
    this.#clear(1);
    const scores: TokenScore[][] = group.map(() => []);
    const next = await this.#read(group[0].tokens.subarray(0, shared));
    group.forEach(({ tokens, from }, index) => {
      if (next && from === shared) scores[index].push(scoreToken(next, tokens[shared]));
    });
    const going = [...group.keys()].filter((index) => group[index].tokens.length - 1 > shared);
    if (going.length > 0) {
      const rows = going.map((index) => group[index]);
      const found = await this.#goOn(rows, shared, length, greedy);
      going.forEach((index, row) => {
        scores[index].push(...found[row]);
      });
    }
    return scores.map((list) => {
      const { logLikelihood, greedy: allGreedy } = combine(list);
      return { logLikelihood, greedy: greedy ? allGreedy : undefined };
    });
  }

  /** Puts the beginning into the states of one row and gives the logits after it; undefined for an empty one. */
  async #read(tokens: Int32Array): Promise<ArrayLike<number> | undefined> {
    for (let at = 0; at < tokens.length; ) {
      const piece = Math.min(longestPiece, 2 ** Math.floor(Math.log2(tokens.length - at)));
      const last = at + piece === tokens.length;
      const program = await this.#program({ rows: 1, length: piece, start: at, read: last ? 1 : 'nothing' });
      integerInput(program.inputs, 'ids').set(tokens.subarray(at, at + piece));
      fillPositions(program, piece, at);
      await program.run();
      if (last) return numberInput(program.outputs, 'logits');
      at += piece;
    }
    return undefined;
  }

  /** Goes on with one row per text, and gives the scores of the tokens that count. */
  async #goOn(
    group: readonly Continuation[],
    shared: number,
    length: number,
    greedy: boolean,
  ): Promise<TokenScore[][]> {
    const rows = group.length;
    const read = greedy ? length : 'losses';
    const program = await this.#program({ rows, length, start: shared, read });
    this.#fork(rows);
    const ids = integerInput(program.inputs, 'ids').fill(0);
    const targets = greedy ? undefined : integerInput(program.inputs, 'targets').fill(-1);
    fillPositions(program, length, shared);
    group.forEach(({ tokens, from }, row) => {
      ids.set(tokens.subarray(shared, -1), row * length);
      const first = Math.max(from, shared + 1);
      targets?.set(tokens.subarray(first), row * length + first - shared - 1);
    });
    await program.run();
    const values = numberInput(program.outputs, greedy ? 'logits' : 'tokenLoss');
    const width = values.length / (rows * length);
    return group.map(({ tokens, from }, row) => {
      const found: TokenScore[] = [];
      for (let index = Math.max(from, shared + 1); index < tokens.length; index++) {
        const at = (row * length + index - shared - 1) * width;
        if (greedy) found.push(scoreToken(values.subarray(at, at + width), tokens[index]));
        else found.push({ logProbability: -values[at], greedy: false });
      }
      return found;
    });
  }

  #program(options: Omit<ScoringOptions, 'capacity'>): Promise<LoadedProgram> {
    // Only the piece that starts a row takes in meta tokens: a later one never stands for it.
    const start = options.start === 0 ? 0 : options.start % this.#period || this.#period;
    const { rows, length, read } = options;
    return this.#shelf.get(`${rows} ${length} ${start} ${read}`, () => {
      const made = scoringProgram(this.#model, { ...options, start, capacity: this.#capacity });
      checkMemory(planMemory([made.program]), 'Use a smaller --length, or a smaller model.');
      this.#declare(rows, made.states);
      return made;
    });
  }

  /** Makes all states of so many rows, also those of branches that the piece at hand does not reach. */
  #declare(rows: number, states: readonly StateBinding[]): void {
    if (this.#states.has(rows)) return;
    for (const state of states) {
      this.#model.store.tensor(`state/${stateName(rows, state)}`, state.dtype, state.shape);
    }
    this.#states.set(rows, states);
  }

  /** Copies the states of the one row to each of several. */
  #fork(rows: number): void {
    const { store } = this.#model;
    for (const state of this.#states.get(rows) ?? []) {
      const target = store.find(`state/${stateName(rows, state)}`)?.data;
      const source = store.find(`state/${stateName(1, state)}`)?.data;
      if (rows === 1 || !target) continue;
      // Nothing has been read yet: all begin from nothing.
      if (!source) target.fill(0);
      else for (let row = 0; row < rows; row++) target.set(source, row * source.length);
    }
  }

  #clear(rows: number): void {
    for (const state of this.#states.get(rows) ?? []) {
      this.#model.store.find(`state/${stateName(rows, state)}`)?.data.fill(0);
    }
  }

  /** Programs and states are made for one capacity, so they go when more is needed. */
  #reserve(length: number): void {
    if (length <= this.#capacity) return;
    this.#drop();
    this.#capacity = Math.max(smallestCapacity, 2 ** Math.ceil(Math.log2(length)));
  }

  #drop(): void {
    this.#shelf.dispose();
    for (const [rows, states] of this.#states) {
      for (const state of states) this.#model.store.delete(`state/${stateName(rows, state)}`);
    }
    this.#states.clear();
  }

  dispose(): void {
    this.#drop();
    this.#capacity = 0;
  }
}

/** Tokens that all texts begin with and that count in none; the last token of a text is only predicted. */
export function sharedLength(group: readonly Continuation[]): number {
  const [first] = group;
  if (!first) throw new BraidError('data', 'There is nothing to score.');
  let shared = Math.min(...group.map(({ from }) => from));
  for (const { tokens } of group) {
    let same = 0;
    while (same < shared && tokens[same] === first.tokens[same]) same++;
    shared = same;
  }
  return shared;
}

/** The next power of two, or three quarters of it: few programs, and little that is computed for nothing. */
function roundedLength(length: number): number {
  const power = 2 ** Math.ceil(Math.log2(length));
  return power >= 8 && length <= 0.75 * power ? 0.75 * power : power;
}

function fillPositions({ inputs }: LoadedProgram, length: number, start: number): void {
  const positions = integerInput(inputs, 'positions');
  for (let i = 0; i < positions.length; i++) positions[i] = start + (i % length);
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
