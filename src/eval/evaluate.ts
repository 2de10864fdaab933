/** Runs a task by its name and gives its figures in one form. */
import { BraidError } from '../graph/index.ts';
import { nearestName } from '../models/index.ts';
import type { EvaluatedModel } from './model.ts';
import { scoreNeedles } from './needle.ts';
import { createContinuationScorer } from './prefixScorer.ts';
import type { TaskResult } from './result.ts';
import { lengthBoundStrategy } from './routes.ts';
import type { Answer, Protocol } from './tasks/choice.ts';
import { answerQuestions, releasedQuestions } from './tasks/choice.ts';
import { readQuestions } from './tasks/documents.ts';
import { figuresOf, isRight } from './tasks/figures.ts';
import { choiceTasks } from './tasks/registry.ts';
import type { ChoiceTask } from './tasks/task.ts';
import type { Document, TextOptions } from './text.ts';
import { scorePositions, scoreText } from './text.ts';

export interface EvaluationSettings extends TextOptions {
  /** Most tokens that are read at once: by default those of training. */
  readonly window: number;
  /** `perplexity`: tokens by which the window moves. */
  readonly stride: number;
  /** `positions`: tokens that are read of each document. */
  readonly length: number;
  /** `needle`: lengths of the prompts. */
  readonly lengths: readonly number[];
  /** `needle`: prompts per length and depth. */
  readonly trials: number;
  /** `positions`: into how many parts they are put. */
  readonly parts: number;
  /** Most documents or questions, from the first. */
  readonly limit?: number | undefined;
  readonly protocol: Protocol;
  /** The text of `perplexity`, `positions` and `needle`. */
  documents(): readonly Document[];
  /** Where the documents of a task of questions lie. */
  questionsFile(task: ChoiceTask): string;
  /** Gets what every question of a task of questions got. */
  onAnswer?(task: ChoiceTask, index: number, answer: AnswerRecord): void;
}

/** What a question got, as it is written to a file. */
export interface AnswerRecord {
  /** Σ log p of each choice, in nats. */
  readonly logLikelihoods: readonly number[];
  readonly answer: number;
  /** Whether the likeliest choice is right; of LAMBADA, whether every token is the likeliest. */
  readonly right: boolean;
  /** The same with log p divided by characters, where the task has that figure. */
  readonly rightNormalized?: boolean;
}

const textTasks: Readonly<Record<string, typeof perplexity>> = { perplexity, positions, needle };

/** All tasks for a trained model, by name. */
export const taskNames: readonly string[] = [
  ...Object.keys(textTasks),
  ...choiceTasks.map(({ name }) => name),
];

/** An unknown task is a `BraidError('usage')` with the nearest name. */
export function evaluateTask(
  name: string,
  model: EvaluatedModel,
  settings: EvaluationSettings,
): Promise<TaskResult> {
  const text = textTasks[name];
  if (text) return text(model, settings);
  const task = choiceTasks.find((one) => one.name === name);
  if (task) return choice(task, model, settings);
  throw unknownTask(name);
}

/** Checks names before any of the tasks is run. */
export function requireTasks(names: readonly string[]): void {
  const unknown = names.find((name) => !taskNames.includes(name));
  if (unknown !== undefined) throw unknownTask(unknown);
}

function unknownTask(name: string): BraidError {
  const nearest = nearestName(name, taskNames);
  const hint = nearest === undefined ? '' : `Did you mean '${nearest}'? `;
  return new BraidError('usage', `There is no task '${name}'. ${hint}Known: ${taskNames.join(', ')}.`);
}

async function perplexity(model: EvaluatedModel, settings: EvaluationSettings): Promise<TaskResult> {
  const { window, stride } = settings;
  const score = await scoreText(model, limited(settings), settings);
  return {
    task: 'perplexity',
    examples: score.documents,
    figures: [
      { metric: 'bits per byte', value: score.bitsPerByte },
      { metric: 'perplexity per token', value: score.perplexity },
    ],
    notes: [
      `${score.tokens} tokens, ${score.bytes} bytes; window ${window}, stride ${stride}; ends of documents not counted`,
      ...lengthBound(model, window),
    ],
  };
}

async function positions(model: EvaluatedModel, settings: EvaluationSettings): Promise<TaskResult> {
  const score = await scorePositions(model, limited(settings), settings);
  return {
    task: 'positions',
    examples: score.documents,
    figures: score.parts.map(({ begin, end, loss }) => ({
      metric: `loss at ${begin} to ${end - 1}`,
      value: loss,
    })),
    notes: [
      `nats per token, over documents of at least ${score.length} tokens`,
      ...lengthBound(model, score.length),
    ],
  };
}

async function needle(model: EvaluatedModel, settings: EvaluationSettings): Promise<TaskResult> {
  const cells = await scoreNeedles(model, limited(settings), { ...settings, seed: 1 });
  const shares = settings.lengths.flatMap((length) => {
    const row = cells.filter((cell) => cell.length === length);
    const mean = row.reduce((sum, { logLikelihood }) => sum + logLikelihood, 0) / row.length;
    return [
      ...row.map(({ depth, accuracy, trials }) => ({
        metric: `length ${length}, depth ${Math.round(100 * depth)} %`,
        value: accuracy,
        standardError: Math.sqrt((accuracy * (1 - accuracy)) / Math.max(1, trials - 1)),
        chance: 1e-7,
      })),
      { metric: `length ${length}, log p of the number`, value: mean },
    ];
  });
  const examples = cells.reduce((sum, { trials }) => sum + trials, 0);
  return {
    task: 'needle',
    examples,
    figures: shares,
    notes: ['right when all seven digits are the likeliest tokens'],
  };
}

/** A model whose routing depends on the length sees all rows at one length. */
function lengthBound({ model }: EvaluatedModel, length: number): readonly string[] {
  const strategy = lengthBoundStrategy(model);
  if (strategy === undefined) return [];
  return [
    `the routing strategy '${strategy}' splits rows by their length: all were filled up to ${length} tokens`,
  ];
}

function limited({ documents, limit }: EvaluationSettings): readonly Document[] {
  return limit === undefined ? documents() : documents().slice(0, limit);
}

async function choice(
  task: ChoiceTask,
  model: EvaluatedModel,
  settings: EvaluationSettings,
): Promise<TaskResult> {
  const { window, protocol, limit, onAnswer } = settings;
  const { questions: read, exported } = readQuestions(task, settings.questionsFile(task));
  const all = protocol === 'flowhn' ? releasedQuestions(task, read, exported) : read;
  const questions = limit === undefined ? all : all.slice(0, limit);
  const scorer = createContinuationScorer(model);
  try {
    const { tokenizer, begin, beginsContexts } = model;
    const encoding = { tokenizer, begin, beginsContexts, length: window };
    const answers = await answerQuestions(task, questions, scorer, { ...settings, encoding });
    answers.forEach((answer, index) => {
      onAnswer?.(task, index, recordOf(task, answer));
    });
    const notes = [
      `${protocol === 'flowhn' ? "scored as FlowHN's released scripts do" : 'scored as lm-evaluation-harness does'}; at most ${window} tokens`,
      ...(scorer.recomputes === undefined ? [] : [scorer.recomputes]),
      ...(exported && protocol === 'harness'
        ? [
            "the documents were exported by FlowHN's scripts, which change some; compare with others on the original ones",
          ]
        : []),
    ];
    return { task: task.name, examples: answers.length, figures: figuresOf(task, answers), notes };
  } finally {
    scorer.dispose();
  }
}

function recordOf(task: ChoiceTask, answer: Answer): AnswerRecord {
  const [first] = answer.scores;
  return {
    logLikelihoods: answer.scores.map(({ logLikelihood }) => logLikelihood),
    answer: answer.question.answer,
    right: first.greedy ?? isRight(answer, false),
    ...(task.metrics.includes('acc_norm') ? { rightNormalized: isRight(answer, true) } : {}),
  };
}
