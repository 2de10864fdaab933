/** From the arguments of a command to a checked run configuration: a preset or a file, options, overrides. */
import { existsSync, readFileSync } from 'node:fs';
import { tokenizerOf } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import {
  applyOverrides,
  findPreset,
  type Locate,
  nearestName,
  presets,
  readConfigText,
} from '../models/index.ts';
import { parseRunConfig, type RunConfig } from '../train/index.ts';

export interface Settings {
  /** Texts; the configuration's own, or Brown, when empty. */
  readonly text?: readonly string[];
  readonly overrides: readonly string[];
  /** Training values used where neither the file nor an override gives one. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** Steps of the run where neither steps nor tokens are given. */
  readonly steps?: number;
}

type Section = Readonly<Record<string, unknown>>;

/** The configuration named by `source`: a preset, or a YAML file of a run (`model:` …) or of a model alone. */
export function readSettings(source: string, settings: Settings): RunConfig {
  return configure(readSource(source), settings);
}

interface Source {
  readonly value: Section;
  readonly locate?: Locate;
  readonly what: string;
}

/** The configuration that a value with the sections of a run describes; `what` names it in messages. */
export function configure({ value, locate, what }: Source, settings: Settings): RunConfig {
  settings.overrides.forEach(checkSection);
  const data = { ...section(value, 'data'), ...(settings.text?.length ? { text: settings.text } : {}) };
  const train = { ...settings.defaults, ...section(value, 'train') };
  const overridden = applyOverrides({ ...value, data, train }, settings.overrides, locate);
  const complete = withLength(overridden.value as Section, settings.steps ?? 1000);
  return parseRunConfig(complete, what, overridden.locate);
}

const sections = ['model', 'data', 'train'];

/** A key of the model without `model.` before it is the likeliest slip: say so. */
function checkSection(override: string): void {
  const [, key] = /^\s*([^.=[\s]+)[^=]*=/.exec(override) ?? [];
  if (key === undefined || sections.includes(key)) return;
  throw new BraidError(
    'usage',
    `The override '${override}' begins with '${key}', but a value lies in one of the sections ${sections.join(', ')}. ` +
      `For one of the model write 'model.${override}'.`,
  );
}

/** A run's length is given in steps or in tokens; without either, the default holds. */
function withLength(value: Section, steps: number): Section {
  const train = section(value, 'train');
  if (train.steps !== undefined || train.tokens !== undefined) return value;
  return { ...value, train: { ...train, steps } };
}

function readSource(source: string): Source {
  const looksLikeFile = /[\\/]|\.ya?ml$|\.json$/.test(source);
  if (looksLikeFile || existsSync(source)) return readFile(source);
  const names = presets.map(({ name }) => name);
  if (!names.includes(source)) {
    const nearest = nearestName(source, names);
    const hint = nearest === undefined ? '' : `Did you mean '${nearest}'? `;
    throw new BraidError(
      'usage',
      `'${source}' is neither a preset nor a configuration file. ${hint}'braid presets' lists the presets.`,
    );
  }
  const preset = findPreset(source);
  return {
    value: { model: preset.config, train: { length: preset.length } },
    what: `The preset '${source}'`,
  };
}

function readFile(path: string): { value: Section; locate: Locate; what: string } {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    const what = reason === 'ENOENT' ? 'does not exist' : `cannot be read (${reason})`;
    throw new BraidError('file', `The configuration '${path}' ${what}.`, { cause: error });
  }
  const { value, locate } = readConfigText(text, path);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BraidError('config', `'${path}' is not a configuration: it must hold keys such as 'model:'.`);
  }
  const whole = value as Section;
  if ('model' in whole) return { value: whole, locate, what: path };
  return {
    value: { model: whole },
    locate: (at) => locate(at[0] === 'model' ? at.slice(1) : at),
    what: path,
  };
}

function section(value: Section, key: string): Section {
  const part = value[key];
  return typeof part === 'object' && part !== null ? (part as Section) : {};
}

/** The vocabulary of a model must be that of its tokenizer, or larger. */
export function checkVocabulary(config: Pick<RunConfig, 'model' | 'data'>): void {
  const { name, vocabulary } = tokenizerOf(config.data);
  if (config.model.vocabulary < vocabulary) {
    throw new BraidError(
      'config',
      `model.vocabulary is ${config.model.vocabulary}, but the tokenizer '${name}' has ${vocabulary} ` +
        `tokens. Set model.vocabulary=${vocabulary} or more.`,
    );
  }
}
