import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { byteTokenizer } from '../../data/index.ts';
import type { Continuation, ContinuationScorer } from '../continuation.ts';
import type { Answer } from './choice.ts';
import { answerQuestions, releasedQuestions } from './choice.ts';
import { findDocuments, readQuestions } from './documents.ts';
import { figuresOf, isRight } from './figures.ts';
import { findChoiceTask } from './registry.ts';
import type { Question } from './task.ts';

function fileOf(...documents: unknown[]): string {
  const path = join(mkdtempSync(join(tmpdir(), 'braid-tasks-')), 'piqa.jsonl');
  writeFileSync(path, documents.map((document) => JSON.stringify(document)).join('\n'));
  return path;
}

function questionsOf(task: string, ...documents: unknown[]): readonly Question[] {
  return readQuestions(findChoiceTask(task), fileOf(...documents)).questions;
}

describe('a document', () => {
  const letters = { text: ['red', 'two words'], label: ['A', 'B'] };
  it.each([
    ['piqa', { goal: 'Sit', sol1: 'a', sol2: 'é!', label: 1 }, 'Question: Sit\nAnswer:', [' a', ' é!'], 1],
    [
      'arc_easy',
      { question: 'Hue?', choices: letters, answerKey: 'B' },
      'Question: Hue?\nAnswer:',
      [' red', ' two words'],
      1,
    ],
    [
      'boolq',
      { passage: 'P.', question: 'is it', label: 1 },
      'P.\nQuestion: is it?\nAnswer:',
      [' no', ' yes'],
      1,
    ],
    [
      'openbookqa',
      { question_stem: 'The hue is', choices: letters, answerKey: ' A' },
      'The hue is',
      [' red', ' two words'],
      0,
    ],
    [
      'hellaswag',
      {
        activity_label: 'Tea',
        ctx_a: 'A [title] b',
        ctx_b: 'he SAYS',
        endings: ['x [y] z', ' w'],
        label: '1',
      },
      'Tea: A. b He says',
      [' x z', ' w'],
      1,
    ],
    ['lambada', { text: 'he took the  cup' }, 'he took the ', [' cup'], 0],
  ])('of %s becomes the question of the harness', (task, document, context, continuations, answer) => {
    const [question] = questionsOf(task, document);
    expect(question.pairs).toEqual(continuations.map((continuation) => ({ context, continuation })));
    expect(question.answer).toBe(answer);
    expect(question.characters).toEqual(continuations.map((choice) => [...choice].length - 1));
  });

  it('of WinoGrande has one context per option', () => {
    const document = { sentence: 'Li met Zoë; _ left early.', option1: 'Li', option2: 'Zoë', answer: '2' };
    const [{ pairs, answer }] = questionsOf('winogrande', document);
    expect(pairs).toEqual([
      { context: 'Li met Zoë; Li', continuation: ' left early.' },
      { context: 'Li met Zoë; Zoë', continuation: ' left early.' },
    ]);
    expect(answer).toBe(1);
  });

  it('as FlowHN exports it is the same question', () => {
    const exported = [{ ind: 0, Query: 'Question: Sit\nAnswer:', Choices: [' a', ' bb'], label: 0 }];
    expect(questionsOf('piqa', ...exported)).toEqual(
      questionsOf('piqa', { goal: 'Sit', sol1: 'a', sol2: 'bb', label: 0 }),
    );
    expect(questionsOf('winogrande', { Query: ' left.', Choices: ['so Li', 'so Zoë'], label: '2' })).toEqual(
      questionsOf('winogrande', { sentence: 'so _ left.', option1: 'Li', option2: 'Zoë', answer: '2' }),
    );
    expect(questionsOf('lambada', { Query: 'the', label: ' cup' })).toEqual(
      questionsOf('lambada', { text: 'the cup' }),
    );
  });

  it.each([
    ['piqa', { goal: 'Sit', sol1: 'a', label: 1 }, /line 2: .*'piqa': sol2: /],
    [
      'arc_easy',
      { question: 'Hue?', choices: letters, answerKey: 'C' },
      /the answer is choice -1, but there are 2/,
    ],
    ['piqa', { Query: 'a', Choices: ['b', 'c'], label: 2 }, /label is 2, but there are 2 choices/],
    ['winogrande', { sentence: 'no blank', option1: 'a', option2: 'b', answer: '1' }, /sentence: /],
  ])('of %s that is not one is named by its line', (task, document, message) => {
    const path = fileOf('', document);
    writeFileSync(path, `\n${JSON.stringify(document)}\n`);
    expect(() => readQuestions(findChoiceTask(task), path)).toThrow(message);
  });

  it('file that is missing, empty or not JSON is an error that names it', () => {
    const piqa = findChoiceTask('piqa');
    expect(() => readQuestions(piqa, '/nowhere.jsonl')).toThrow(/nowhere/);
    expect(() => readQuestions(piqa, fileOf())).toThrow(/no documents/);
    const path = fileOf();
    writeFileSync(path, '{"goal": ');
    expect(() => readQuestions(piqa, path)).toThrow(/line 1/);
    expect(() => findDocuments(piqa, tmpdir())).toThrow(/piqa\.jsonl, piqa\.json.*--tasks piqa=FILE/);
    expect(() => findChoiceTask('pica')).toThrow(/Did you mean 'piqa'/);
  });
});

const question = (answer: number, ...characters: number[]): Question => ({
  pairs: characters.map(() => ({ context: 'c', continuation: ' x' })),
  characters,
  answer,
});
const answered = (asked: Question, ...logLikelihoods: number[]): Answer => ({
  question: asked,
  scores: logLikelihoods.map((logLikelihood) => ({ logLikelihood, greedy: undefined })),
});

describe('figures', () => {
  it('divide by the characters where they should, and take the first of equals', () => {
    expect(isRight(answered(question(0, 1, 4), -2, -4), false)).toBe(true);
    expect(isRight(answered(question(0, 1, 4), -2, -4), true)).toBe(false);
    expect(isRight(answered(question(1, 1, 1), -2, -2), false)).toBe(false);
  });

  it('of BoolQ show that always saying the same is guessing', () => {
    const answers = [0, 1, 1, 1].map((answer) => answered(question(answer, 2, 3), -2, -1));
    const [acc, balanced] = figuresOf(findChoiceTask('boolq'), answers);
    expect(acc).toMatchObject({ metric: 'acc', value: 0.75, chance: 0.5 });
    expect(acc.standardError).toBeCloseTo(0.25, 12);
    expect(balanced).toMatchObject({ metric: 'balanced_acc', value: 0.5, chance: 0.5 });
  });
});

/** Writes down what it is asked to score. */
function recorder(): ContinuationScorer & { readonly seen: string[] } {
  const seen: string[] = [];
  const decode = (tokens: Int32Array) => Buffer.from(byteTokenizer.decode(tokens)).toString();
  return {
    seen,
    recomputes: undefined,
    score: async (group: readonly Continuation[]) =>
      group.map(({ tokens, from }) => {
        seen.push(`${decode(tokens.subarray(0, from))}|${decode(tokens.subarray(from))}`);
        return { logLikelihood: -1, greedy: undefined };
      }),
    dispose: () => undefined,
  };
}

describe('the protocol of the released scripts', () => {
  const encoding = { tokenizer: byteTokenizer, begin: 256, beginsContexts: true, length: 100 };

  it('takes punctuation off the choices of ARC, but not off their length', async () => {
    const scorer = recorder();
    const arc = findChoiceTask('arc_easy');
    const choices = { text: ['one.', 'two!?'], label: ['A', 'B'] };
    const questions = releasedQuestions(
      arc,
      questionsOf('arc_easy', { question: 'Q', choices, answerKey: 'A' }),
      false,
    );
    await answerQuestions(arc, questions, scorer, { protocol: 'flowhn', encoding });
    expect(scorer.seen).toEqual(['Question: Q\nAnswer:| one', 'Question: Q\nAnswer:| two']);
    expect(questions[0].characters).toEqual([4, 5]);
  });

  it('counts the space of PIQA and loses its last document, unless the export did', () => {
    const piqa = findChoiceTask('piqa');
    const two = [question(0, 1, 4), question(1, 2, 2)];
    expect(releasedQuestions(piqa, two, false)).toEqual([question(0, 2, 5)]);
    expect(releasedQuestions(piqa, two, true).length).toBe(2);
  });

  it("makes one question of WinoGrande's neighbours with the same ending", () => {
    const documents = ['because', 'although', 'so'].map((link, index) => ({
      sentence: `Li met Zoë ${link} _ left${index > 1 ? ' late' : ''}.`,
      option1: 'Li',
      option2: 'Zoë',
      answer: index === 0 ? '2' : '1',
    }));
    const merged = releasedQuestions(
      findChoiceTask('winogrande'),
      questionsOf('winogrande', ...documents),
      false,
    );
    expect(merged.map(({ pairs, answer }) => [pairs.length, answer])).toEqual([[4, 1]]);
  });
});
