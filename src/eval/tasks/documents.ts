/**
 * The documents of a task from a file: one JSON object per line, with the fields that lm-evaluation-harness knows, or as
 * FlowHN's scripts export them (`Query`, `Choices`, `label`; the context stands in `Query`, or in `Choices` where it is
 * what is chosen).
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { BraidError } from '../../graph/index.ts';
import { fileError } from '../../models/index.ts';
import type { ChoiceTask, Question } from './task.ts';
import { characterCount } from './task.ts';

const exported = z.object({
  Query: z.string(),
  Choices: z.array(z.string()).min(2).optional(),
  label: z.union([z.int(), z.string()]),
});

export interface Questions {
  readonly questions: readonly Question[];
  /** Whether the file was exported by FlowHN's scripts. */
  readonly exported: boolean;
}

/** Reads a file. An unreadable one, or a line that is not a document of the task, is a `BraidError('data')` that names it. */
export function readQuestions(task: ChoiceTask, path: string): Questions {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError('read', path, error);
  }
  const questions: Question[] = [];
  let anyExported = false;
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '') return;
    try {
      const document: unknown = JSON.parse(line);
      const isExported = typeof document === 'object' && document !== null && 'Query' in document;
      anyExported ||= isExported;
      questions.push(isExported ? exportedQuestion(task, document) : task.question(document));
    } catch (error) {
      throw new BraidError(
        'data',
        `'${path}', line ${index + 1}: this is not a document of '${task.name}': ${reason(error)}. A file of documents has ` +
          'one JSON object per line, with the fields of the original data set.',
        { cause: error },
      );
    }
  });
  if (questions.length === 0) throw new BraidError('data', `'${path}' holds no documents.`);
  return { questions, exported: anyExported };
}

function reason(error: unknown): string {
  if (error instanceof z.ZodError) {
    return error.issues.map(({ path, message }) => `${path.join('.') || 'the line'}: ${message}`).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}

function exportedQuestion(task: ChoiceTask, value: unknown): Question {
  const { Query, Choices, label } = exported.parse(value);
  if (!Choices) {
    return {
      pairs: [{ context: Query, continuation: String(label) }],
      characters: [characterCount(String(label).trimStart())],
      answer: 0,
    };
  }
  // Labels that are text count from 1.
  const answer = typeof label === 'string' ? Number(label) - 1 : label;
  if (!(answer in Choices)) {
    throw new RangeError(`label is ${JSON.stringify(label)}, but there are ${Choices.length} choices`);
  }
  if (task.choosesContext) {
    const rest = spaced(Query);
    return {
      pairs: Choices.map((context) => ({ context, continuation: rest })),
      characters: Choices.map(() => characterCount(rest) - 1),
      answer,
    };
  }
  return {
    pairs: Choices.map((choice) => ({ context: Query, continuation: spaced(choice) })),
    characters: Choices.map((choice) => characterCount(spaced(choice)) - 1),
    answer,
  };
}

/** With the one space before it that separates it from the context. */
function spaced(text: string): string {
  return text.startsWith(' ') ? text : ` ${text}`;
}

/** Where the documents of a task lie in a folder. */
export function findDocuments(task: ChoiceTask, folder: string): string {
  const names = ['.jsonl', '.json', '_validation.json', '_test.json'].map((end) => task.name + end);
  const found = names.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new BraidError(
    'usage',
    `'${folder}' has no documents of '${task.name}': looked for ${names.join(', ')}. Name the file with --tasks ${task.name}=FILE.`,
  );
}
