/** From scores to figures, by the rules of lm-evaluation-harness 0.4.13. */
import type { Figure } from '../result.ts';
import { standardError } from '../result.ts';
import type { Answer } from './choice.ts';
import type { ChoiceTask, Metric } from './task.ts';

/** Whether the likeliest choice is the right one; of equal ones, the first is chosen. */
export function isRight({ question, scores }: Answer, normalized: boolean): boolean {
  const values = scores.map(({ logLikelihood }, index) =>
    normalized ? logLikelihood / question.characters[index] : logLikelihood,
  );
  return values.indexOf(Math.max(...values)) === question.answer;
}

export function figuresOf(task: ChoiceTask, answers: readonly Answer[]): readonly Figure[] {
  return task.metrics.map((metric) => figure(metric, answers));
}

function figure(metric: Metric, answers: readonly Answer[]): Figure {
  const chance = mean(answers.map(({ question }) => 1 / question.pairs.length));
  switch (metric) {
    case 'acc':
    case 'acc_norm': {
      const right = answers.map((answer) => Number(isRight(answer, metric === 'acc_norm')));
      return { metric, value: mean(right), standardError: standardError(right), chance };
    }
    case 'balanced_acc':
      return { metric, ...balanced(answers), chance };
    case 'greedy_acc': {
      const right = answers.map(({ scores: [score] }) => Number(score.greedy === true));
      return { metric: 'acc', value: mean(right), standardError: standardError(right) };
    }
    case 'perplexity': {
      const losses = answers.map(({ scores: [score] }) => -score.logLikelihood);
      const value = Math.exp(mean(losses));
      // By the delta method; the harness draws bootstrap samples for it.
      return { metric, value, standardError: value * standardError(losses) };
    }
  }
}

/** The mean over the right answers that occur of the share that was found; a constant answer gets the chance level. */
function balanced(answers: readonly Answer[]): Pick<Figure, 'value' | 'standardError'> {
  const classes = new Map<number, number[]>();
  for (const answer of answers) {
    const list = classes.get(answer.question.answer) ?? [];
    list.push(Number(isRight(answer, false)));
    classes.set(answer.question.answer, list);
  }
  const lists = [...classes.values()];
  const squares = lists.reduce((sum, list) => sum + standardError(list) ** 2, 0);
  return { value: mean(lists.map(mean)), standardError: Math.sqrt(squares) / lists.length };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
