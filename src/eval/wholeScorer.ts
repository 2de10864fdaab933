/**
 * Scores every text whole and alone, in a program of exactly its length: for models that split a text by its length, and
 * as the plain meaning of the scorer that shares beginnings.
 */
import { checkMemory, integerInput, numberInput, planMemory } from '../train/index.ts';
import type { Continuation, ContinuationScorer, Likelihood } from './continuation.ts';
import { combine, scoreToken } from './logProbability.ts';
import type { EvaluatedModel } from './model.ts';
import { ProgramShelf } from './model.ts';
import { scoringProgram } from './scoringProgram.ts';

export class WholeScorer implements ContinuationScorer {
  readonly recomputes: string | undefined;
  readonly #model: EvaluatedModel;
  readonly #shelf: ProgramShelf;

  /** @param recomputes why beginnings cannot be shared */
  constructor(model: EvaluatedModel, recomputes?: string) {
    this.#model = model;
    this.recomputes = recomputes;
    this.#shelf = new ProgramShelf(model);
  }

  async score(group: readonly Continuation[]): Promise<readonly Likelihood[]> {
    const found: Likelihood[] = [];
    for (const continuation of group) found.push(await this.#one(continuation));
    return found;
  }

  async #one({ tokens, from }: Continuation): Promise<Likelihood> {
    const length = tokens.length - 1;
    const read = tokens.length - from;
    const program = await this.#shelf.get(`${length} ${read}`, () => {
      const made = scoringProgram(this.#model, { rows: 1, length, start: 0, read });
      checkMemory(planMemory([made.program]), 'Use a smaller --length, or a smaller model.');
      return made;
    });
    integerInput(program.inputs, 'ids').set(tokens.subarray(0, length));
    integerInput(program.inputs, 'positions').set(Array.from({ length }, (_, position) => position));
    await program.run();
    const logits = numberInput(program.outputs, 'logits');
    const vocabulary = logits.length / read;
    const scores = Array.from(tokens.subarray(from), (token, index) =>
      scoreToken(logits.subarray(index * vocabulary, (index + 1) * vocabulary), token),
    );
    return combine(scores);
  }

  dispose(): void {
    this.#shelf.dispose();
  }
}
