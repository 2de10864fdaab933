/** Tasks of questions as arguments: their names, and where their documents lie. */
import type { ChoiceTask } from '../eval/index.ts';
import { findChoiceTask, findDocuments } from '../eval/index.ts';
import { BraidError } from '../graph/index.ts';

export interface NamedTask {
  readonly name: string;
  readonly file?: string;
}

/** `NAME` or `NAME=FILE`, with commas between them. */
export function namedTasks(text: string): readonly NamedTask[] {
  return text.split(',').map((part) => {
    const [name, ...file] = part.trim().split('=');
    return file.length > 0 ? { name, file: file.join('=') } : { name };
  });
}

/** The file that was named, or the task's own in the folder of documents. */
export function questionsFile(
  task: ChoiceTask,
  tasks: readonly NamedTask[],
  docs: string | undefined,
): string {
  const file = tasks.find(({ name }) => name === task.name)?.file;
  if (file !== undefined) return file;
  if (docs !== undefined) return findDocuments(task, docs);
  throw new BraidError(
    'usage',
    `Where are the documents of '${task.name}'? Name their folder with --docs FOLDER, or the file with --tasks ${task.name}=FILE. ` +
      'One JSON object per line, with the fields of the original data set.',
  );
}

/** Each task with its file. An unknown one, or one without documents, is a `BraidError`. */
export function taskFiles(
  tasks: readonly NamedTask[],
  docs: string | undefined,
): readonly { readonly name: string; readonly file: string }[] {
  return tasks.map(({ name }) => ({ name, file: questionsFile(findChoiceTask(name), tasks, docs) }));
}
