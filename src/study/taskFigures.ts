/** What the seeds of a model got in the tasks, as one figure each. */
import type { Figure, TaskResult } from '../eval/index.ts';

export interface TaskFigure extends Figure {
  readonly task: string;
  readonly examples: number;
}

/**
 * The mean over seeds of every figure. Its standard error is that over the questions, which all seeds share and which more
 * seeds do not make smaller, and that over the seeds.
 */
export function averageTasks(seeds: readonly (readonly TaskResult[])[]): TaskFigure[] {
  const [first = []] = seeds;
  return first.flatMap(({ task, examples, figures }, at) =>
    figures.map(({ metric, chance }, index) => {
      const all = seeds.map((results) => results[at].figures[index]);
      const values = all.map(({ value }) => value);
      const value = mean(values);
      const ofQuestions = mean(all.map(({ standardError = 0 }) => standardError ** 2));
      const ofSeeds =
        values.length > 1
          ? values.reduce((sum, one) => sum + (one - value) ** 2, 0) / (values.length - 1) / values.length
          : 0;
      const standardError = Math.sqrt(ofQuestions + ofSeeds);
      return { task, examples, metric, value, standardError, ...(chance === undefined ? {} : { chance }) };
    }),
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Tasks whose customary figure is the one by characters (Gu and Dao 2023, table 3; Dao and Gu 2024, table 1). */
const byCharacters = ['hellaswag', 'arc_challenge', 'openbookqa'];

/** The customary figure of each task, in the order of the tasks; those without an accuracy have none. */
export function headlines(figures: readonly TaskFigure[]): TaskFigure[] {
  const tasks = [...new Set(figures.map(({ task }) => task))];
  return tasks.flatMap((task) => {
    const own = figures.filter((figure) => figure.task === task);
    const normalized = own.find(({ metric }) => metric === 'acc_norm');
    const plain = own.find(({ metric }) => metric === 'acc');
    const chosen = byCharacters.includes(task) && normalized ? normalized : plain;
    return chosen ? [chosen] : [];
  });
}

/** Mean of the customary figures, in their own scale. */
export function averageOf(figures: readonly TaskFigure[]): number {
  return mean(headlines(figures).map(({ value }) => value));
}
