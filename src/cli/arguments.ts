/** How commands read their arguments: numbers, and options that may be given several times. */
import { InvalidArgumentError } from 'commander';
import type { Rates } from '../study/index.ts';

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

/** A whole number of at least 1. */
export function count(text: string): number {
  const value = number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new InvalidArgumentError('It must be a whole number of at least 1.');
  }
  return value;
}

/** A whole number of 0 or more. */
export function countOrNone(text: string): number {
  const value = number(text);
  if (!Number.isInteger(value) || value < 0) {
    throw new InvalidArgumentError('It must be a whole number of 0 or more.');
  }
  return value;
}

/**
 * The values of an option that is given once for each. Not an option with several values: that would swallow the
 * arguments behind it.
 */
export function several(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** Whole numbers of at least 1 with commas between them: `512,1024`. */
export function counts(text: string): readonly number[] {
  return text.split(',').map(count);
}

/** A time such as `90s`, `10m` or `1.5h`, in seconds. */
export function duration(text: string): number {
  const [, value, unit] = /^\s*([\d.]+)\s*([smh])\s*$/.exec(text) ?? [];
  const seconds = Number(value) * ({ s: 1, m: 60, h: 3600 }[unit ?? ''] ?? Number.NaN);
  if (!(seconds > 0)) throw new InvalidArgumentError("It must be a time such as '90s', '10m' or '8h'.");
  return seconds;
}

/** Learning rates with commas between them, or a rule's name. */
export function rates(text: string): Rates {
  return text === 'kaplan' ? { kind: 'kaplan' } : { kind: 'grid', rates: text.split(',').map(number) };
}

/** Runs at a time: a whole number, or `auto`. */
export function jobs(text: string): number | 'auto' {
  return text === 'auto' ? text : count(text);
}
