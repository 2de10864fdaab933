/** What a task found, in one form for all tasks, so that tables and comparisons need not know them. */

export interface Figure {
  readonly metric: string;
  readonly value: number;
  /** Of the value, over the examples of the task. */
  readonly standardError?: number;
  /** What guessing gets. */
  readonly chance?: number;
}

export interface TaskResult {
  readonly task: string;
  /** Documents, questions or sequences. */
  readonly examples: number;
  readonly figures: readonly Figure[];
  /** What one should know before comparing the figures with others. */
  readonly notes: readonly string[];
}

/** Standard error of a mean, from the deviation of the sample (n − 1). Zero for one example. */
export function standardError(values: readonly number[]): number {
  const count = values.length;
  if (count < 2) return 0;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (count - 1) / count);
}
