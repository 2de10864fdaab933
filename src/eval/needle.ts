/**
 * A needle in a haystack for a trained model: a sentence that gives a number, somewhere in a long text, and its beginning
 * again at the end. Words and depths as Bae et al. 2025 (arXiv 2510.04800, section 5) have them.
 *
 *     <context> text … The special magic Lisbon number is: 4719203. … text </context>
 *     The special magic Lisbon number is:
 *
 * A cell is right when the seven digits are what the model would say, token by token.
 */
import { BraidError } from '../graph/index.ts';
import type { EvaluatedModel } from './model.ts';
import { createContinuationScorer } from './prefixScorer.ts';
import { Draws } from './synthetic/draws.ts';
import type { Document, TextOptions } from './text.ts';

export interface NeedleOptions extends TextOptions {
  /** Tokens of a whole prompt, one series of cells each. */
  readonly lengths: readonly number[];
  /** Prompts per length and depth. */
  readonly trials: number;
  readonly seed: number;
}

export interface NeedleCell {
  readonly length: number;
  /** Share of the haystack before the needle. */
  readonly depth: number;
  readonly trials: number;
  /** Share of the prompts whose number was found. */
  readonly accuracy: number;
  /** Mean log p of the whole number, in nats: it tells more than the accuracy when nothing or everything is found. */
  readonly logLikelihood: number;
}

const cities = ['Lisbon', 'Nairobi', 'Osaka', 'Quito', 'Riga', 'Tunis', 'Utrecht', 'Zagreb'];
const depths = Array.from({ length: 11 }, (_, step) => step / 10);

/** The cells by length and then by depth. A text or a length that is too short is a `BraidError`. */
export async function scoreNeedles(
  model: EvaluatedModel,
  documents: readonly Document[],
  { lengths, trials, seed, signal, onProgress }: NeedleOptions,
): Promise<readonly NeedleCell[]> {
  const hay = documents.flatMap(({ tokens }) => [...tokens]);
  const scorer = createContinuationScorer(model);
  const cells: NeedleCell[] = [];
  let done = 0;
  try {
    for (const length of lengths) {
      for (const depth of depths) {
        let right = 0;
        let total = 0;
        for (let trial = 0; trial < trials; trial++) {
          signal?.throwIfAborted();
          const draws = new Draws(seed, `needle.${length}.${depth}.${trial}`);
          const [{ logLikelihood, greedy }] = await scorer.score(
            [prompt(model, hay, length, depth, draws)],
            true,
          );
          right += Number(greedy);
          total += logLikelihood;
          onProgress?.(++done, lengths.length * depths.length * trials);
        }
        cells.push({ length, depth, trials, accuracy: right / trials, logLikelihood: total / trials });
      }
    }
  } finally {
    scorer.dispose();
  }
  return cells;
}

function prompt(
  { tokenizer, begin: first }: EvaluatedModel,
  hay: readonly number[],
  length: number,
  depth: number,
  draws: Draws,
): { tokens: Int32Array; from: number } {
  const opening = `The special magic ${draws.pick(cities)} number is:`;
  const number = ` ${draws.between(1_000_000, 10_000_000)}`;
  const encode = (text: string): readonly number[] => [...tokenizer.encode(text)];
  const begin = [first, ...encode('<context> ')];
  const needle = encode(` ${opening}${number}. `);
  const end = encode(` </context>\n${opening}`);
  const answer = encode(number);
  const room = length - begin.length - needle.length - end.length - answer.length;
  if (room < 0) {
    throw new BraidError(
      'usage',
      `A prompt of ${length} tokens has no room for the needle and the question; it needs ${length - room}. Give longer --lengths.`,
    );
  }
  if (hay.length < room) {
    throw new BraidError(
      'data',
      `The text has ${hay.length} tokens, too few for a haystack of ${room}. Give a longer text, or shorter --lengths.`,
    );
  }
  const from = draws.between(0, hay.length - room + 1);
  const at = from + Math.round(depth * room);
  const context = [...begin, ...hay.slice(from, at), ...needle, ...hay.slice(at, from + room), ...end];
  return { tokens: Int32Array.from([...context, ...answer]), from: context.length };
}
