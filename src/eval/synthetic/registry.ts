/**
 * The synthetic tasks by name, with the settings that their authors start from. A task is written
 * `NAME:setting=value,setting=value`; what is not given is as published.
 */
import { BraidError } from '../../graph/index.ts';
import { nearestName } from '../../models/index.ts';
import { compressionTask } from './compression.ts';
import { fuzzyRecallTask } from './fuzzyRecall.ts';
import { memorizationTask } from './memorization.ts';
import { mqarTask } from './mqar.ts';
import { needleTask } from './needle.ts';
import { recallTask } from './recall.ts';
import { selectiveCopyingTask } from './selectiveCopying.ts';
import type { SyntheticTask } from './task.ts';

/** Settings are numbers; all but shares and powers are whole and positive. */
export type Settings = Readonly<Record<string, number>>;

export interface SyntheticKind {
  readonly name: string;
  readonly summary: string;
  readonly defaults: Settings;
  /** What is wrong with the settings, or undefined. */
  check(settings: Settings): string | undefined;
  make(name: string, settings: Settings): SyntheticTask;
}

const fractions: readonly string[] = ['noise', 'power', 'filled'];
const mad = { train: 12_800, test: 1280, seed: 12_345 } as const;

/** Declares a kind of task; its settings have the names of its defaults. */
function kind<S extends Settings>(entry: {
  readonly name: string;
  readonly summary: string;
  readonly defaults: S;
  check?(settings: S): string | undefined;
  make(settings: S & { readonly name: string }): SyntheticTask;
}): SyntheticKind {
  const complete = (settings: Settings): S => ({ ...entry.defaults, ...settings });
  return {
    name: entry.name,
    summary: entry.summary,
    defaults: entry.defaults,
    check: (settings) => entry.check?.(complete(settings)),
    make: (name, settings) => entry.make({ ...complete(settings), name }),
  };
}

const even = ({ length }: { readonly length: number }): string | undefined =>
  length % 2 === 0 && length >= 4 ? undefined : `length is ${length}; it must be even and at least 4`;

export const syntheticKinds: readonly SyntheticKind[] = [
  kind({
    name: 'mad/in-context-recall',
    summary: 'the value of a key that was shown before',
    defaults: { vocabulary: 16, length: 128, ...mad },
    check: (settings) =>
      even(settings) ?? (settings.vocabulary >= 4 ? undefined : 'vocabulary must be at least 4'),
    make: (settings) => recallTask({ ...settings, noiseTokens: 0, noise: 0 }),
  }),
  kind({
    name: 'mad/noisy-in-context-recall',
    summary: 'the same among noise',
    defaults: { vocabulary: 32, length: 128, ...mad, noiseTokens: 16, noise: 0.2 },
    check: (settings) =>
      even(settings) ??
      (settings.vocabulary - settings.noiseTokens >= 4
        ? undefined
        : `vocabulary must be at least 4 more than the ${settings.noiseTokens} tokens of noise`),
    make: recallTask,
  }),
  kind({
    name: 'mad/fuzzy-in-context-recall',
    summary: 'the same with keys and values of one to three tokens',
    defaults: { vocabulary: 16, length: 128, ...mad, motif: 3 },
    check: ({ vocabulary, motif, length }) => {
      if (Math.floor((vocabulary - 1) / 2) < motif) {
        return `vocabulary is ${vocabulary}; it must be at least ${2 * motif + 1} for motifs of ${motif}`;
      }
      return length + 1 >= 4 * motif
        ? undefined
        : `length is ${length}; it must be at least ${4 * motif - 1}`;
    },
    make: fuzzyRecallTask,
  }),
  kind({
    name: 'mad/memorization',
    summary: 'a fixed map from keys to values',
    defaults: { vocabulary: 256, length: 32, ...mad, train: 256 },
    check: (settings) =>
      even(settings) ?? (settings.vocabulary >= 3 ? undefined : 'vocabulary must be at least 3'),
    make: memorizationTask,
  }),
  kind({
    name: 'mad/compression',
    summary: 'a row from what is left of it at its last token',
    defaults: { vocabulary: 16, length: 32, ...mad },
    check: ({ vocabulary }) => (vocabulary >= 2 ? undefined : 'vocabulary must be at least 2'),
    make: compressionTask,
  }),
  kind({
    name: 'mad/selective-copying',
    summary: 'the tokens among blanks, in their order',
    defaults: { vocabulary: 16, length: 256, ...mad, copy: 16 },
    check: ({ vocabulary, length, copy }) => {
      if (vocabulary < 3) return 'vocabulary must be at least 3';
      return 2 * copy + 1 <= length
        ? undefined
        : `copy is ${copy}; ${2 * copy + 1} tokens do not fit into ${length}`;
    },
    make: selectiveCopyingTask,
  }),
  kind({
    name: 'mqar',
    summary: 'many keys and values at once, each asked for again (Zoology)',
    defaults: {
      vocabulary: 8192,
      length: 512,
      pairs: 64,
      train: 100_000,
      test: 3000,
      power: 0.01,
      filled: 0,
      seed: 1,
    },
    check: ({ vocabulary, length, pairs }) => {
      if (length % 2 !== 0 || 4 * pairs > length) {
        return `length is ${length}; it must be even and at least 4 times the ${pairs} pairs`;
      }
      return vocabulary % 2 === 0 && vocabulary / 2 > pairs
        ? undefined
        : `vocabulary is ${vocabulary}; it must be even and more than twice the ${pairs} pairs`;
    },
    make: (settings) => mqarTask({ ...settings, filled: settings.filled !== 0 }),
  }),
  kind({
    name: 'needle',
    summary: 'one value in a haystack, by depth',
    defaults: { vocabulary: 64, length: 128, train: 12_800, test: 1000, seed: 1 },
    check: ({ vocabulary, length }) => {
      if (vocabulary < 5) return 'vocabulary must be at least 5';
      return length >= 16 ? undefined : `length is ${length}; it must be at least 16`;
    },
    make: needleTask,
  }),
];

/** The task that a text such as `mqar:vocabulary=512,pairs=32` names; `more` settings stand over those of the text. */
export function syntheticTask(text: string, more: Settings = {}): SyntheticTask {
  const [name, rest = ''] = text.split(':', 2);
  const found = findKind(name);
  const given: Record<string, number> = {};
  for (const part of rest.split(',').filter((one) => one !== '')) {
    const [key, value = ''] = part.split('=', 2).map((one) => one.trim());
    given[key] = readSetting(found, key, value);
  }
  const settings = { ...given, ...more };
  const problem = found.check(settings);
  if (problem !== undefined) throw new BraidError('usage', `The task '${text}': ${problem}.`);
  const listed = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  return found.make(listed.length > 0 ? `${name}:${listed.join(',')}` : name, settings);
}

function findKind(name: string): SyntheticKind {
  const found = syntheticKinds.find((one) => one.name === name);
  if (found) return found;
  const names = syntheticKinds.map((one) => one.name);
  const nearest = nearestName(name, names);
  const hint = nearest === undefined ? '' : `Did you mean '${nearest}'? `;
  throw new BraidError('usage', `There is no synthetic task '${name}'. ${hint}Known: ${names.join(', ')}.`);
}

function readSetting({ name, defaults }: SyntheticKind, key: string, text: string): number {
  const keys = Object.keys(defaults);
  if (!keys.includes(key)) {
    const nearest = nearestName(key, keys);
    const hint = nearest === undefined ? '' : ` Did you mean '${nearest}'?`;
    throw new BraidError('usage', `'${name}' has no setting '${key}'.${hint} It has ${keys.join(', ')}.`);
  }
  const value = Number(text);
  const fraction = fractions.includes(key);
  const valid = fraction ? value >= 0 && value <= 1 : Number.isInteger(value) && value >= 1;
  if (text !== '' && valid) return value;
  const allowed = fraction ? 'a number between 0 and 1' : 'a whole number of at least 1';
  throw new BraidError('usage', `'${name}': ${key} is '${text}'; it must be ${allowed}.`);
}
