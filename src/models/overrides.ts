/**
 * Values given on the command line as `path.to.key=value`. They are put into the configuration before it is checked, so
 * that a misspelt key or a value of the wrong type is found by the same schema as in a file.
 */
import { parse } from 'yaml';
import { BraidError } from '../graph/index.ts';
import type { ConfigPath, Locate } from './configIssues.ts';
import { describeValue, formatPath } from './configIssues.ts';

export interface Overridden {
  readonly value: unknown;
  /** Knows which paths come from an override; asks `before` for the others. */
  readonly locate: Locate;
}

interface Override {
  readonly text: string;
  readonly path: ConfigPath;
  readonly value: unknown;
}

/**
 * A copy of `value` with the overrides applied in order. Sections that do not exist are made; list entries must exist
 * (`layers[0].repeat=2`). Values are read as YAML: `3`, `true`, `0.5`, `text`, `[1, 2]`, `{ heads: 4 }`, `null` removes.
 */
export function applyOverrides(value: unknown, overrides: readonly string[], before?: Locate): Overridden {
  const parsed = overrides.map(parseOverride);
  const result = parsed.reduce<unknown>((current, override) => put(current, override, 0), value ?? {});
  const locate: Locate = (path) => {
    const inside = parsed.findLast((override) => isPrefix(override.path, path));
    if (inside) return `the override '${inside.text}'`;
    const earlier = before?.(path);
    if (earlier !== undefined) return earlier;
    const made = parsed.findLast((override) => isPrefix(path, override.path));
    return made ? `the override '${made.text}'` : undefined;
  };
  return { value: result, locate };
}

function isPrefix(prefix: ConfigPath, path: ConfigPath): boolean {
  return prefix.every((step, index) => step === path[index]);
}

function parseOverride(text: string): Override {
  const equals = text.indexOf('=');
  const key = text.slice(0, Math.max(equals, 0)).trim();
  const path = key.split('.').flatMap(splitIndices);
  if (equals < 0 || path.some((step) => step === '')) {
    throw new BraidError(
      'usage',
      `'${text}' is not an override. Write path.to.key=value, such as attention.heads=8 or layers[0].repeat=2.`,
    );
  }
  try {
    return { text, path, value: parse(text.slice(equals + 1)) as unknown };
  } catch (error) {
    throw new BraidError('usage', `The value of the override '${text}' cannot be read as YAML.`, {
      cause: error,
    });
  }
}

/** `layers[3]` and `layers.3` both lead to the entry 3 of a list. */
function splitIndices(step: string): ConfigPath {
  const match = /^([^[\]]*)((?:\[\d+\])*)$/.exec(step.trim());
  if (!match) return [''];
  const [, name = '', indices = ''] = match;
  const numbers = [...indices.matchAll(/\d+/g)].map(([digits]) => Number(digits));
  if (/^\d+$/.test(name)) return [Number(name), ...numbers];
  return [name, ...numbers];
}

function put(current: unknown, override: Override, depth: number): unknown {
  const step = override.path[depth];
  if (step === undefined) return override.value;
  const fail = (message: string): never => {
    const place = depth === 0 ? 'The configuration' : `'${formatPath(override.path.slice(0, depth))}'`;
    throw new BraidError('config', `${place} ${message}, so the override '${override.text}' leads nowhere.`);
  };
  if (Array.isArray(current)) {
    if (typeof step !== 'number' || step >= current.length) {
      return fail(`is a list of ${current.length} entries, numbered from 0`);
    }
    return current.map((entry: unknown, index) => (index === step ? put(entry, override, depth + 1) : entry));
  }
  if (current !== undefined && (typeof current !== 'object' || current === null)) {
    return fail(`is the value ${describeValue(current)}, not a section`);
  }
  const section = (current ?? {}) as Record<string, unknown>;
  const key = String(step);
  const inner = put(Object.hasOwn(section, key) ? section[key] : undefined, override, depth + 1);
  if (inner === null) return Object.fromEntries(Object.entries(section).filter(([name]) => name !== key));
  return { ...section, [key]: inner };
}
