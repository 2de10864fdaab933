/**
 * Multiple choice as lm-evaluation-harness 0.4.13 asks it, without examples before the question (`tasks/*.yaml` there). A
 * document has the fields of the original data set.
 */
import { z } from 'zod';
import { BraidError } from '../../graph/index.ts';
import { nearestName } from '../../models/index.ts';
import { hellaswag } from './hellaswag.ts';
import type { ChoiceTask } from './task.ts';
import { characterCount, choicesAfter, defineTask } from './task.ts';

const lettered = z.object({ text: z.array(z.string()).min(2), label: z.array(z.string()) });

const piqa = defineTask({
  name: 'piqa',
  summary: 'which of two ways of doing an everyday thing works (Bisk et al. 2020)',
  metrics: ['acc', 'acc_norm'],
  document: z.object({ goal: z.string(), sol1: z.string(), sol2: z.string(), label: z.int() }),
  question: ({ goal, sol1, sol2, label }) => choicesAfter(`Question: ${goal}\nAnswer:`, [sol1, sol2], label),
  released: { extraCharacters: 1, losesLast: true },
});

function arc(name: string, summary: string): ChoiceTask {
  return defineTask({
    name,
    summary: `${summary} (Clark et al. 2018)`,
    metrics: ['acc', 'acc_norm'],
    document: z.object({ question: z.string(), choices: lettered, answerKey: z.string() }),
    question: ({ question, choices, answerKey }) =>
      choicesAfter(`Question: ${question}\nAnswer:`, choices.text, choices.label.indexOf(answerKey)),
    released: { apart: true },
  });
}

const winogrande = defineTask({
  name: 'winogrande',
  summary: 'whom a sentence speaks of, two options (Sakaguchi et al. 2020)',
  metrics: ['acc'],
  choosesContext: true,
  document: z.object({
    sentence: z.string().includes('_'),
    option1: z.string(),
    option2: z.string(),
    answer: z.enum(['1', '2']),
  }),
  question({ sentence, option1, option2, answer }) {
    const blank = sentence.indexOf('_');
    const rest = sentence.slice(blank + 1).trim();
    return {
      pairs: [option1, option2].map((option) => ({
        context: sentence.slice(0, blank) + option,
        continuation: ` ${rest}`,
      })),
      characters: [rest, rest].map(characterCount),
      answer: Number(answer) - 1,
    };
  },
  released: { losesLast: true },
});

const boolq = defineTask({
  name: 'boolq',
  summary: 'yes or no about a passage (Clark et al. 2019)',
  metrics: ['acc', 'balanced_acc'],
  document: z.object({ passage: z.string(), question: z.string(), label: z.int() }),
  question: ({ passage, question, label }) =>
    choicesAfter(`${passage}\nQuestion: ${question}?\nAnswer:`, ['no', 'yes'], label),
  released: { losesLast: true },
});

const openbookqa = defineTask({
  name: 'openbookqa',
  summary: 'elementary science, four choices (Mihaylov et al. 2018)',
  metrics: ['acc', 'acc_norm'],
  document: z.object({ question_stem: z.string(), choices: lettered, answerKey: z.string() }),
  question: ({ question_stem, choices, answerKey }) =>
    choicesAfter(question_stem, choices.text, choices.label.indexOf(answerKey.trimStart())),
});

const lambada = defineTask({
  name: 'lambada',
  summary: 'the last word of a passage (Paperno et al. 2016)',
  metrics: ['perplexity', 'greedy_acc'],
  document: z.object({ text: z.string().includes(' ') }),
  question({ text }) {
    const space = text.lastIndexOf(' ');
    const word = text.slice(space + 1);
    return {
      pairs: [{ context: text.slice(0, space), continuation: ` ${word}` }],
      characters: [characterCount(word)],
      answer: 0,
    };
  },
});

export const choiceTasks: readonly ChoiceTask[] = [
  piqa,
  arc('arc_easy', 'grade-school science, the easier questions'),
  arc('arc_challenge', 'grade-school science, questions that simple methods get wrong'),
  winogrande,
  boolq,
  hellaswag,
  openbookqa,
  lambada,
];

/** The task of that name. An unknown one is a `BraidError('usage')` with the nearest name. */
export function findChoiceTask(name: string): ChoiceTask {
  const found = choiceTasks.find((task) => task.name === name);
  if (found) return found;
  const names = choiceTasks.map((task) => task.name);
  const nearest = nearestName(name, names);
  throw new BraidError(
    'usage',
    `There is no task '${name}'.${nearest === undefined ? '' : ` Did you mean '${nearest}'?`} Known: ${names.join(', ')}.`,
  );
}
