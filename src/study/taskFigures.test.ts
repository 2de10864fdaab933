import { expect, it } from 'vitest';
import type { TaskResult } from '../eval/index.ts';
import { averageOf, averageTasks, headlines } from './taskFigures.ts';

const result = (task: string, acc: number, norm: number): TaskResult => ({
  task,
  examples: 100,
  figures: [
    { metric: 'acc', value: acc, standardError: 0.03, chance: 0.5 },
    { metric: 'acc_norm', value: norm, standardError: 0.04, chance: 0.5 },
  ],
  notes: [],
});

it('averages over seeds, with the spread of seeds beside that of questions', () => {
  const [acc, norm] = averageTasks([[result('piqa', 0.5, 0.6)], [result('piqa', 0.6, 0.6)]]);
  expect(acc.value).toBeCloseTo(0.55, 12);
  // Two seeds 0.1 apart: a variance of 0.005, of their mean half of it.
  expect(acc.standardError).toBeCloseTo(Math.sqrt(0.03 ** 2 + 0.0025), 12);
  expect(norm.standardError).toBeCloseTo(0.04, 12);
});

it('takes the customary figure of each task', () => {
  const figures = averageTasks([[result('piqa', 0.5, 0.6), result('hellaswag', 0.3, 0.4)]]);
  expect(headlines(figures).map(({ task, metric }) => `${task} ${metric}`)).toEqual([
    'piqa acc',
    'hellaswag acc_norm',
  ]);
  expect(averageOf(figures)).toBeCloseTo(0.45, 12);
});
