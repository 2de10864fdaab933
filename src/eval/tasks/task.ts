/** A task of questions whose answers are scored by how likely the model finds them. */
import type { z } from 'zod';

/** A context and what may follow it. */
export interface Pair {
  readonly context: string;
  readonly continuation: string;
}

export interface Question {
  /** One per choice, in the order of the document. */
  readonly pairs: readonly Pair[];
  /** Characters of each choice, without the space before it. */
  readonly characters: readonly number[];
  /** Index of the right choice. */
  readonly answer: number;
}

/**
 * `acc`: the likeliest choice is right; `acc_norm`: the same with log p divided by the characters of the choice;
 * `balanced_acc`: the mean over the classes of acc; `perplexity`: e to the mean −log p of the right text; `greedy_acc`:
 * every token of it is the likeliest.
 */
export type Metric = 'acc' | 'acc_norm' | 'balanced_acc' | 'perplexity' | 'greedy_acc';

export interface ChoiceTask {
  readonly name: string;
  readonly summary: string;
  readonly metrics: readonly Metric[];
  /** Reads a document of the form that lm-evaluation-harness has. Zod errors and `RangeError`s are explained by the caller. */
  question(document: unknown): Question;
  /** Whether what differs between the choices is the context, and what follows it is the same for all. */
  readonly choosesContext?: boolean;
  /** What FlowHN's released scripts do to it in another way. */
  readonly released?: {
    /** Context and continuation are encoded apart, and choices lose punctuation at their end before they are scored. */
    readonly apart?: boolean;
    /** Characters that they count for the space before the choice. */
    readonly extraCharacters?: number;
    /** Their export loses the last document. */
    readonly losesLast?: boolean;
  };
}

/** Declares a task whose documents have the form of a schema. */
export function defineTask<Document>(
  task: Omit<ChoiceTask, 'question'> & {
    readonly document: z.ZodType<Document>;
    question(document: Document): Question;
  },
): ChoiceTask {
  const { document, question, ...rest } = task;
  return { ...rest, question: (value) => question(document.parse(value)) };
}

/** Choices that follow one context, each after a space. */
export function choicesAfter(context: string, choices: readonly string[], answer: number): Question {
  if (!(answer in choices)) {
    throw new RangeError(`the answer is choice ${answer}, but there are ${choices.length} choices`);
  }
  return {
    pairs: choices.map((choice) => ({ context, continuation: ` ${choice}` })),
    characters: choices.map(characterCount),
    answer,
  };
}

/** Characters as Python counts them: code points. */
export function characterCount(text: string): number {
  return [...text].length;
}
