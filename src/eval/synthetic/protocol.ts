/** The published protocols: which settings of a task are run, how each is trained, and what is made of the scores. */
import { BraidError } from '../../graph/index.ts';
import type { Settings } from './registry.ts';

export interface Training {
  readonly batch: number;
  readonly epochs: number;
  /** Peak learning rates and weight decays: every pair of them is one run. */
  readonly rates: readonly number[];
  readonly decays: readonly number[];
  /** Accuracy on the test that ends a run early. */
  readonly stop: number;
}

/** A setting to run, and the task whose score it belongs to. */
export interface ProtocolSetting {
  readonly task: string;
  readonly settings: Settings;
  /** Rows of a batch, where they depend on the setting. */
  readonly batch?: number;
}

export interface Protocol {
  readonly name: string;
  readonly summary: string;
  readonly training: Training;
  readonly settings: readonly ProtocolSetting[];
}

/** The settings of one task: the first one as it is, then each value of each list alone. */
function varied(task: string, lists: Readonly<Record<string, readonly number[]>>): ProtocolSetting[] {
  const changes = Object.entries(lists).flatMap(([key, values]) => values.map((value) => ({ [key]: value })));
  return [{}, ...changes].map((settings) => ({ task, settings }));
}

const fewer = [6400, 3200, 1600, 800];
const longer = [256, 512, 1024];
const wider = [32, 64, 128];

/** Poli et al. 2024, and the released code (athms/mad-lab). */
const mad: Protocol = {
  name: 'mad',
  summary: 'all 66 settings of MAD; the score is the mean over its six tasks',
  training: { batch: 128, epochs: 200, rates: [1e-4, 5e-4, 1e-3], decays: [0, 0.1], stop: 0.999 },
  settings: [
    ...varied('mad/in-context-recall', { vocabulary: wider, length: longer, train: fewer }),
    ...varied('mad/noisy-in-context-recall', {
      vocabulary: [48, 80, 144],
      length: longer,
      train: fewer,
      noise: [0.4, 0.6, 0.8],
    }),
    ...varied('mad/fuzzy-in-context-recall', { vocabulary: wider, length: longer, train: fewer }),
    ...varied('mad/memorization', { vocabulary: [512, 1024, 2048, 4096, 8192] }),
    ...varied('mad/compression', { vocabulary: wider, length: [64, 128, 256], train: fewer }),
    ...varied('mad/selective-copying', {
      vocabulary: wider,
      length: [512, 1024],
      train: fewer,
      copy: [32, 64, 96],
    }),
  ],
};

/** Arora et al. 2023, figure 2, and the released code (HazyResearch/zoology). */
const zoology: Protocol = {
  name: 'zoology',
  summary: 'MQAR at the four lengths of Zoology, figure 2',
  training: {
    batch: 512,
    epochs: 64,
    rates: [1e-4, 4.6415888e-4, 2.1544347e-3, 1e-2],
    decays: [0.1],
    stop: 0.99,
  },
  settings: [
    { task: 'mqar', settings: { length: 64, pairs: 4 }, batch: 512 },
    { task: 'mqar', settings: { length: 128, pairs: 8 }, batch: 256 },
    { task: 'mqar', settings: { length: 256, pairs: 16 }, batch: 128 },
    { task: 'mqar', settings: { length: 512, pairs: 64 }, batch: 64 },
  ],
};

export const protocols: readonly Protocol[] = [mad, zoology];

/** What the best run of a setting reached. */
export interface SettingScore {
  readonly task: string;
  readonly score: number;
}

/** The mean over the settings of each task, and the mean of those. */
export function protocolScore(scores: readonly SettingScore[]): {
  readonly tasks: Readonly<Record<string, number>>;
  readonly score: number;
} {
  if (scores.length === 0) throw new BraidError('data', 'There are no scores to average.');
  const byTask = new Map<string, number[]>();
  for (const { task, score } of scores) byTask.set(task, [...(byTask.get(task) ?? []), score]);
  const tasks = Object.fromEntries([...byTask].map(([task, list]) => [task, mean(list)]));
  return { tasks, score: mean(Object.values(tasks)) };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
