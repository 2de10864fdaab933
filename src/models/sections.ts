/**
 * The sections of a model configuration that hold the options of layers: one per mixer or channel mixer under its own
 * name, and aliases, which say with `type` which layer they are. An alias starts from the options of its type.
 */
import type { LayerChoice } from '../blocks/index.ts';
import type { RegisteredLayer } from '../mixers/layer.ts';
import { findLayer, layers } from '../mixers/registry.ts';
import type { ConfigIssue, ConfigPath } from './configIssues.ts';
import { describeValue, explainIssues, unknownKey } from './configIssues.ts';
import { suggestName } from './nearest.ts';
import type { LayerKind } from './pattern.ts';

export type Options = Readonly<Record<string, unknown>>;

export function isSection(value: unknown): value is Options {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Section {
  readonly type: RegisteredLayer;
  readonly given: Options;
}

/** Looks up layers by name or alias and checks their options; faults are collected in `issues`. */
export class Sections {
  /** Kinds of all names that a pattern may use. */
  readonly names = new Map<string, LayerKind>();
  readonly #sections = new Map<string, Section>();
  readonly #width: number | undefined;
  readonly #issues: ConfigIssue[];
  /** Options with defaults, as they are written back into the configuration. */
  readonly #complete = new Map<string, Options>();

  /**
   * @param given the configuration's keys that are no fields of its own
   * @param fields names of those fields, for suggestions
   * @param width features of the residual stream; without it, options are not compared with it
   */
  constructor(given: Options, fields: readonly string[], width: number | undefined, issues: ConfigIssue[]) {
    this.#width = width;
    this.#issues = issues;
    for (const type of layers) this.names.set(type.name, type.kind);
    for (const [name, value] of Object.entries(given)) this.#read(name, value, given, fields);
    // A section that the pattern does not use is checked as well: a fault in it is still a fault.
    for (const name of this.#sections.keys()) this.#choose(name, {}, [name]);
  }

  #read(name: string, value: unknown, all: Options, fields: readonly string[]): void {
    const known = layers.find((type) => type.name === name);
    if (!known && !(isSection(value) && 'type' in value)) {
      const message = unknownKey(name, [...fields, ...layers.map((type) => type.name)]);
      this.#issues.push({ path: [name], message: `${message} A section with 'type' defines an alias.` });
      return;
    }
    if (!isSection(value)) {
      this.#issues.push({
        path: [name],
        message: `expected a section with options; given ${describeValue(value)}.`,
      });
      return;
    }
    if (known) {
      this.#sections.set(name, { type: known, given: value });
      return;
    }
    this.#readAlias(name, value, all);
  }

  #readAlias(name: string, value: Options, all: Options): void {
    const { type: typeName, ...given } = value;
    const type = layers.find((candidate) => candidate.name === typeName);
    if (!type) {
      const known = layers.map((candidate) => candidate.name);
      const message = `there is no layer ${describeValue(typeName)}. ${suggestName(String(typeName), known)}`;
      this.#issues.push({ path: [name, 'type'], message });
      return;
    }
    if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(name)) {
      const message =
        'an alias is a letter followed by letters, digits, - and _, so that patterns can use it.';
      this.#issues.push({ path: [name], message });
      return;
    }
    const base = all[type.name];
    this.names.set(name, type.kind);
    this.#sections.set(name, { type, given: isSection(base) ? { ...base, ...given } : given });
  }

  /**
   * A layer by name or alias with its options, those of the section first and `own` over them. Faults are reported at
   * `path`, or in the section when there are no own options.
   */
  choose(name: string, own: Options, path: ConfigPath): LayerChoice | undefined {
    if (!this.names.has(name)) {
      const message = `there is no layer '${name}'. ${suggestName(name, [...this.names.keys()])}`;
      this.#issues.push({ path, message });
      return undefined;
    }
    const shared = Object.keys(own).length === 0;
    const complete = this.#complete.get(name);
    const type = this.#sections.get(name)?.type ?? findLayer(name);
    if (shared && complete) return { name, type: type.name, options: complete };
    return this.#choose(name, own, shared ? [name] : path);
  }

  #choose(name: string, own: Options, path: ConfigPath): LayerChoice | undefined {
    const section = this.#sections.get(name);
    const type = section?.type ?? findLayer(name);
    const given = { ...section?.given, ...own };
    const parsed = type.options.safeParse(given);
    if (!parsed.success) {
      this.#report(path, explainIssues(parsed.error, type.options, given));
      return undefined;
    }
    const width = this.#width;
    const unfit = width === undefined ? [] : type.check(parsed.data, width);
    const faults = unfit.map(({ option, message }) => ({ path: [option], message }));
    this.#report(path, faults);
    if (faults.length > 0) return undefined;
    const options = parsed.data as Options;
    if (Object.keys(own).length === 0) this.#complete.set(name, options);
    return { name, type: type.name, options };
  }

  /** The same fault of a section is said once, however many layers use it. */
  #report(path: ConfigPath, faults: readonly ConfigIssue[]): void {
    for (const fault of faults) {
      const issue = { path: [...path, ...fault.path], message: fault.message };
      const same = JSON.stringify(issue);
      if (!this.#issues.some((known) => JSON.stringify(known) === same)) this.#issues.push(issue);
    }
  }

  /** The sections with all defaults filled in: those given and those that the layers asked for. */
  complete(): Options {
    const entries = [...this.#complete].map(([name, options]) => {
      const type = this.#sections.get(name)?.type.name ?? name;
      return [name, type === name ? options : { type, ...options }] as const;
    });
    return Object.fromEntries(entries);
  }
}
