/**
 * −log p of every token of rows, one text in a row, several rows at a time. Shorter rows go through shorter programs; a
 * model whose routing depends on the length sees rows of the full length, as in training.
 */
import { BraidError } from '../graph/index.ts';
import type { LoadedProgram } from '../runtime/index.ts';
import { checkMemory, evaluationProgram, integerInput, numberInput, planMemory } from '../train/index.ts';
import type { EvaluatedModel } from './model.ts';
import { ProgramShelf } from './model.ts';
import { lengthBoundStrategy } from './routes.ts';

export interface Row {
  /** At least two; the last one is only predicted. */
  readonly tokens: Int32Array;
  /** Index of the first token whose −log p is wanted, at least 1. */
  readonly from: number;
}

export interface RowScorerOptions {
  /** Inputs in the longest row. */
  readonly length: number;
  readonly signal?: AbortSignal | undefined;
}

/** Tokens in one batch: enough to fill the machine, few enough to need little memory. */
const batchTokens = 4096;
const mostRows = 8;
const shortestRow = 64;
const lossChunk = 1024;

export class RowScorer {
  readonly #model: EvaluatedModel;
  readonly #options: RowScorerOptions;
  readonly #shelf: ProgramShelf;
  readonly #lengths: readonly number[];

  constructor(model: EvaluatedModel, options: RowScorerOptions) {
    this.#model = model;
    this.#options = options;
    this.#shelf = new ProgramShelf(model);
    this.#lengths = rowLengths(options.length, lengthBoundStrategy(model.model) !== undefined);
  }

  /** Calls `visit` with the −log p, in nats, of the wanted tokens of each row, in no promised order. */
  async score<R extends Row>(rows: readonly R[], visit: (row: R, nats: Float64Array) => void): Promise<void> {
    for (const length of this.#lengths) {
      const fitting = rows.filter(({ tokens }) => this.#lengthFor(tokens.length - 1) === length);
      const batch = Math.max(1, Math.min(mostRows, Math.floor(batchTokens / length), fitting.length));
      for (let at = 0; at < fitting.length; at += batch) {
        this.#options.signal?.throwIfAborted();
        await this.#run(fitting.slice(at, at + batch), length, batch, visit);
      }
    }
  }

  #lengthFor(inputs: number): number {
    const length = this.#lengths.find((one) => one >= inputs);
    if (length !== undefined && inputs >= 1) return length;
    throw new BraidError('data', `A row of ${inputs} tokens does not fit into ${this.#options.length}.`);
  }

  async #run<R extends Row>(
    rows: readonly R[],
    length: number,
    batch: number,
    visit: (row: R, nats: Float64Array) => void,
  ): Promise<void> {
    const program = await this.#program(length, batch);
    fillRows(program, rows, length);
    await program.run();
    const losses = numberInput(program.outputs, 'tokenLoss');
    rows.forEach((row, slot) => {
      const begin = slot * length + row.from - 1;
      visit(row, Float64Array.from(losses.subarray(begin, slot * length + row.tokens.length - 1)));
    });
  }

  #program(length: number, batch: number): Promise<LoadedProgram> {
    const { model, precision, threads } = this.#model;
    return this.#shelf.get(`${batch} x ${length}`, () => {
      const made = evaluationProgram(model, { batch, length, lossChunk, precision, threads });
      checkMemory(planMemory([made.program]), 'Use a smaller --window, or a smaller model.');
      return made;
    });
  }

  dispose(): void {
    this.#shelf.dispose();
  }
}

/** Halves of the longest length, shortest first; only the longest where the routing depends on it. */
function rowLengths(longest: number, bound: boolean): readonly number[] {
  const lengths = [longest];
  while (!bound && lengths[0] / 2 >= shortestRow) lengths.unshift(Math.ceil(lengths[0] / 2));
  return lengths;
}

/** What follows a row in its place, and empty places, hold token 0 and predict nothing. */
function fillRows({ inputs }: LoadedProgram, rows: readonly Row[], length: number): void {
  const ids = integerInput(inputs, 'ids').fill(0);
  const targets = integerInput(inputs, 'targets').fill(-1);
  const positions = integerInput(inputs, 'positions');
  integerInput(inputs, 'documents').fill(0);
  for (let i = 0; i < positions.length; i++) positions[i] = i % length;
  rows.forEach(({ tokens, from }, slot) => {
    ids.set(tokens.subarray(0, -1), slot * length);
    targets.set(tokens.subarray(from), slot * length + from - 1);
  });
}
