/** Runs a task: encodes its questions, scores them, and makes figures of the scores. */
import type { Continuation, ContinuationScorer, Likelihood, PairEncoding } from '../continuation.ts';
import { encodePair, encodeReleased } from '../continuation.ts';
import type { TextOptions } from '../text.ts';
import type { ChoiceTask, Question } from './task.ts';

export type Protocol = 'harness' | 'flowhn';

export interface ChoiceOptions extends TextOptions {
  readonly protocol: Protocol;
  readonly encoding: PairEncoding;
}

export interface Answer {
  readonly question: Question;
  /** One per choice. */
  readonly scores: readonly Likelihood[];
}

/** The scores of all questions, in their order. The longest go first, so that what does not fit is found at once. */
export async function answerQuestions(
  task: ChoiceTask,
  questions: readonly Question[],
  scorer: ContinuationScorer,
  { protocol, encoding, signal, onProgress }: ChoiceOptions,
): Promise<readonly Answer[]> {
  const encode = protocol === 'flowhn' ? released(task, encoding) : plain(encoding);
  const groups = questions.map((question, index) => ({ index, question, group: encode(question) }));
  const longest = (group: readonly Continuation[]) => Math.max(...group.map(({ tokens }) => tokens.length));
  groups.sort((a, b) => longest(b.group) - longest(a.group) || a.index - b.index);
  const answers: Answer[] = [];
  const greedy = task.metrics.includes('greedy_acc');
  let done = 0;
  for (const { index, question, group } of groups) {
    signal?.throwIfAborted();
    answers[index] = { question, scores: await scorer.score(group, greedy) };
    onProgress?.(++done, questions.length);
  }
  return answers;
}

function plain(encoding: PairEncoding): (question: Question) => Continuation[] {
  return ({ pairs }) => pairs.map(({ context, continuation }) => encodePair(context, continuation, encoding));
}

function released(task: ChoiceTask, encoding: PairEncoding): (question: Question) => Continuation[] {
  const apart = task.released?.apart ?? false;
  return ({ pairs }) =>
    pairs.map(({ context, continuation }) =>
      encodeReleased(context, apart ? withoutPunctuation(continuation) : continuation, apart, encoding),
    );
}

/** Python's `string.punctuation` at the end. */
function withoutPunctuation(text: string): string {
  return text.replace(/[!-/:-@[-`{-~]+$/, '');
}

/**
 * The questions as FlowHN's scripts have them after their export: the last document is lost, and WinoGrande's neighbours
 * with the same ending are one question with the choices of all and the answer of the first. A file that they exported
 * is so already.
 */
export function releasedQuestions(
  task: ChoiceTask,
  questions: readonly Question[],
  exported: boolean,
): readonly Question[] {
  const extra = task.released?.extraCharacters ?? 0;
  const counted = questions.map((question) => ({
    ...question,
    characters: question.characters.map((count) => count + extra),
  }));
  if (exported || !task.released?.losesLast) return counted;
  const merged: Question[] = [];
  for (const question of counted) {
    const before = merged.at(-1);
    const same = task.choosesContext && before?.pairs[0].continuation === question.pairs[0].continuation;
    if (!before || !same) merged.push(question);
    else {
      merged[merged.length - 1] = {
        pairs: [...before.pairs, ...question.pairs],
        characters: [...before.characters, ...question.characters],
        answer: before.answer,
      };
    }
  }
  return merged.slice(0, -1);
}
