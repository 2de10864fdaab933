/**
 * What is wrong with a configuration, said so that it can be repaired: the path, what was given, what is allowed, and
 * the nearest valid name. Works for any zod schema.
 */
import { z } from 'zod';
import { BraidError } from '../graph/index.ts';
import { suggestName } from './nearest.ts';

export type ConfigPath = readonly (string | number)[];

export interface ConfigIssue {
  readonly path: ConfigPath;
  readonly message: string;
}

/** Says where a value comes from, such as `line 7` or `the override 'mlp.width=10'`; nothing when it does not know. */
export type Locate = (path: ConfigPath) => string | undefined;

/** `layers[3].options.heads` */
export function formatPath(path: ConfigPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** All faults in one error, a line each. `what` names the thing, such as `The configuration model.yaml`. */
export function configError(what: string, issues: readonly ConfigIssue[], locate?: Locate): BraidError {
  const lines = issues.map(({ path, message }) => {
    const place = locate?.(path);
    const where = path.length === 0 ? '' : `${formatPath(path)}${place ? ` (${place})` : ''}: `;
    return `${where}${message}`;
  });
  const [only] = lines;
  const text =
    lines.length === 1 ? `${what}: ${only}` : `${what}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  return new BraidError('config', text);
}

/** Parses a value with a schema, or throws one `BraidError('config')` with all faults. */
export function parseConfig<T>(schema: z.ZodType<T>, value: unknown, what: string, locate?: Locate): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw configError(what, explainIssues(result.error, schema, value), locate);
}

/** Turns the faults that zod reports into sentences. */
export function explainIssues(error: z.ZodError, schema: z.ZodType, value: unknown): readonly ConfigIssue[] {
  return error.issues.flatMap((issue) => explainAt([], issue, schema, value));
}

function explainAt(
  prefix: ConfigPath,
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  value: unknown,
): readonly ConfigIssue[] {
  const path = [...prefix, ...issue.path.filter((step) => typeof step !== 'symbol')];
  if (issue.code === 'unrecognized_keys') {
    const allowed = keysAt(schema, path);
    return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key, allowed) }));
  }
  if (issue.code === 'invalid_union') {
    // An alternative that failed only further inside is the one that was meant.
    const meant = issue.errors.find((faults) => faults.every(isInside));
    if (meant && meant.length > 0) return meant.flatMap((fault) => explainAt(path, fault, schema, value));
  }
  return [{ path, message: explain(issue, valueAt(value, path)) }];
}

function isInside(issue: z.core.$ZodIssue): boolean {
  return issue.path.length > 0 || issue.code === 'unrecognized_keys';
}

/** The message for a key that a section does not have. */
export function unknownKey(key: string, allowed: readonly string[]): string {
  return allowed.length === 0
    ? `there is no '${key}' here.`
    : `there is no '${key}' here. ${suggestName(key, allowed)}`;
}

function explain(issue: z.core.$ZodIssue, given: unknown): string {
  const found = describeValue(given);
  switch (issue.code) {
    case 'custom':
      return issue.message;
    case 'invalid_type':
      if (given === undefined) return `is missing; expected ${kindNames[issue.expected] ?? issue.expected}.`;
      return `expected ${kindNames[issue.expected] ?? issue.expected}; given ${found}.`;
    case 'invalid_value': {
      const allowed = issue.values.map(String);
      if (given === undefined) return `is missing; allowed: ${allowed.join(', ')}.`;
      return typeof given === 'string'
        ? `given ${found}. ${suggestName(given, allowed)}`
        : `given ${found}; allowed: ${allowed.join(', ')}.`;
    }
    case 'too_small':
      return `must be ${issue.inclusive ? 'at least' : 'greater than'} ${issue.minimum}; given ${found}.`;
    case 'too_big':
      return `must be ${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}; given ${found}.`;
    case 'invalid_union': {
      const choices = issue.errors.flatMap((errors) => errors.slice(0, 1)).map(describeExpected);
      return `expected ${choices.join(' or ')}; given ${found}.`;
    }
    default:
      return given === undefined ? 'is missing.' : `${issue.message}; given ${found}.`;
  }
}

function describeExpected(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return kindNames[issue.expected] ?? issue.expected;
  if (issue.code === 'invalid_value') return issue.values.map(String).join(', ');
  return issue.message;
}

const kindNames: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  object: 'a section',
  record: 'a section',
  array: 'a list',
};

/** A value as it appears in a message: short, and quoted when it is text. */
export function describeValue(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function valueAt(value: unknown, path: ConfigPath): unknown {
  let current = value;
  for (const step of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<string | number, unknown>)[step];
  }
  return current;
}

/** The keys that a schema allows at a path; none when the path leads into something that is not a fixed section. */
export function keysAt(schema: z.ZodType, path: ConfigPath): readonly string[] {
  let current: unknown = schema;
  for (const step of path) {
    const inner = unwrap(current);
    if (inner instanceof z.ZodObject && typeof step === 'string') current = inner.shape[step];
    else if (inner instanceof z.ZodArray) current = inner.element;
    else if (inner instanceof z.ZodRecord) current = inner.valueType;
    else return [];
  }
  const inner = unwrap(current);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

/** The schema inside `.optional()`, `.default()` and transformations; of alternatives, the section. */
function unwrap(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return unwrap(schema.def.innerType);
  }
  if (schema instanceof z.ZodPipe) return unwrap(schema.def.in);
  if (schema instanceof z.ZodUnion) {
    return schema.options.map(unwrap).find((option) => option instanceof z.ZodObject) ?? schema;
  }
  return schema;
}
