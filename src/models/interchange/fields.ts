/**
 * The keys of a `config.json`, read one by one with the type that is expected. Errors are `BraidError('file')` and name
 * the file, the key, what was expected and what was found. Keys that a family does not ask for do not matter to it.
 */
import { BraidError } from '../../graph/index.ts';
import { describeValue } from '../configIssues.ts';

export type Json = Readonly<Record<string, unknown>>;

/** What may stand beside a key: its default when it is absent or null. */
interface Fallback<T> {
  readonly or?: T;
}

export class Fields {
  readonly path: string;
  readonly values: Json;
  readonly #prefix: string;

  /** @param path the file, for messages */
  constructor(path: string, values: Json, prefix = '') {
    this.path = path;
    this.values = values;
    this.#prefix = prefix;
  }

  has(key: string): boolean {
    return this.values[key] !== undefined && this.values[key] !== null;
  }

  is(key: string, value: unknown): boolean {
    return this.values[key] === value;
  }

  /** The first of several names that is given, or the first of all: keys were renamed over the years. */
  either(...keys: readonly [string, ...string[]]): string {
    return keys.find((key) => this.has(key)) ?? keys[0];
  }

  /** A whole number, at least 1 unless told otherwise. */
  size(key: string, { or, least = 1 }: Fallback<number> & { readonly least?: number } = {}): number {
    const value = this.number(key, or === undefined ? {} : { or });
    if (Number.isInteger(value) && value >= least) return value;
    throw this.wrong(key, `a whole number of at least ${least}`);
  }

  number(key: string, { or }: Fallback<number> = {}): number {
    const value = plainNumber(this.values[key]);
    if (value !== undefined) return value;
    if (!this.has(key) && or !== undefined) return or;
    throw this.wrong(key, 'a number');
  }

  flag(key: string, { or }: Fallback<boolean> = {}): boolean {
    const value = this.values[key];
    if (typeof value === 'boolean') return value;
    if (!this.has(key) && or !== undefined) return or;
    throw this.wrong(key, 'true or false');
  }

  text(key: string, { or }: Fallback<string> = {}): string {
    const value = this.values[key];
    if (typeof value === 'string') return value;
    if (!this.has(key) && or !== undefined) return or;
    throw this.wrong(key, 'text');
  }

  /** A list of numbers, of that length. */
  numbers(key: string, length: number): readonly number[] {
    const value = this.values[key];
    const numbers = Array.isArray(value) ? value.map(plainNumber) : [];
    const known = numbers.filter((entry) => entry !== undefined);
    if (Array.isArray(value) && known.length === length && numbers.length === length) return known;
    throw this.wrong(key, `a list of ${length} numbers`);
  }

  list(key: string): readonly unknown[] {
    const value = this.values[key];
    if (Array.isArray(value)) return value;
    throw this.wrong(key, 'a list');
  }

  /** A list of words, each of which must be known. */
  words<T extends string>(key: string, known: readonly T[]): readonly T[] {
    const value = this.values[key];
    if (!Array.isArray(value)) throw this.wrong(key, `a list of ${known.join(', ')}`);
    return value.map((entry: unknown, index) => {
      const found = known.find((word) => word === entry);
      if (found !== undefined) return found;
      throw this.fail(key, `has ${describeValue(entry)} as entry ${index}; known here: ${known.join(', ')}.`);
    });
  }

  /** A section within, or undefined. */
  section(key: string): Fields | undefined {
    const value = this.values[key];
    if (!this.has(key)) return undefined;
    if (typeof value !== 'object' || Array.isArray(value)) throw this.wrong(key, 'a section');
    return new Fields(this.path, value as Json, `${this.#prefix}${key}.`);
  }

  /** A key that may be absent but, when it is there, has one of the values that Braid can do. */
  only(key: string, ...allowed: readonly (string | number | boolean)[]): void {
    if (!this.has(key) || allowed.some((value) => value === this.values[key])) return;
    const list = allowed.map((value) => JSON.stringify(value)).join(' or ');
    throw this.fail(key, `is ${describeValue(this.values[key])}; this family is supported with ${list}.`);
  }

  wrong(key: string, expected: string): BraidError {
    const found = this.has(key) ? describeValue(this.values[key]) : 'nothing';
    return this.fail(key, `is expected to be ${expected}; found ${found}.`);
  }

  fail(key: string, problem: string): BraidError {
    return new BraidError('file', `'${this.path}': '${this.#prefix}${key}' ${problem}`);
  }
}

/** A number; infinity is written as `{"__float__": "Infinity"}` by recent versions of transformers. */
function plainNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'object' || value === null || !('__float__' in value)) return undefined;
  const spelt = Number(value.__float__);
  return Number.isNaN(spelt) ? undefined : spelt;
}

/** Parses the text of a `config.json`. Older versions of transformers write bare `Infinity`, which JSON does not have. */
export function parseFields(path: string, text: string): Fields {
  const spelt = text.replace(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b/g, (found) =>
    found.startsWith('"') ? found : `{"__float__":"${found}"}`,
  );
  let value: unknown;
  try {
    value = JSON.parse(spelt);
  } catch (error) {
    throw new BraidError('file', `'${path}' is not JSON: ${(error as Error).message}.`, { cause: error });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return new Fields(path, value as Json);
  throw new BraidError('file', `'${path}' holds no configuration: it must be an object with keys.`);
}
