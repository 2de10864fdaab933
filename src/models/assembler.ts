/**
 * Puts blocks together from names: what the pattern and the typed form have in common. Every layer gets its options,
 * every block of branches its fusion and routing; faults are collected, so that all of them are told at once.
 */
import type { Block, Fusion, LayerChoice, Routing } from '../blocks/index.ts';
import { findStrategy, fusionSchema, fusions, routingSchema, routingStrategies } from '../blocks/index.ts';
import type { ConfigIssue, ConfigPath } from './configIssues.ts';
import { explainIssues } from './configIssues.ts';
import { suggestName } from './nearest.ts';
import type { LayerNames, PatternNode, PatternTree } from './pattern.ts';
import type { Options, Sections } from './sections.ts';
import { isSection } from './sections.ts';

/** Blocks in order. */
export type Built = readonly Block[];

/** A layer as a form names it. */
export interface NamedLayer {
  readonly name: string;
  readonly options: Options;
  readonly path: ConfigPath;
}

export interface GroupParts {
  readonly branches: readonly Built[];
  readonly channels: readonly NamedLayer[];
  /** The block's own settings, over those of the model. */
  readonly fusion?: unknown;
  readonly routing?: unknown;
  readonly path: ConfigPath;
}

export class Assembler {
  readonly #sections: Sections;
  readonly #issues: ConfigIssue[];
  readonly #fusion: Options;
  readonly #routing: Options | undefined;

  /** @param routing the model's choice of a strategy; routed blocks without one are a fault */
  constructor(sections: Sections, fusion: Options, routing: Options | undefined, issues: ConfigIssue[]) {
    this.#sections = sections;
    this.#fusion = fusion;
    this.#routing = routing;
    this.#issues = issues;
  }

  get names(): LayerNames {
    return this.#sections.names;
  }

  fault(path: ConfigPath, message: string): void {
    this.#issues.push({ path, message });
  }

  tree(tree: PatternTree, path: ConfigPath): Built {
    return tree.flatMap((node) => this.repeat(this.#node(node, path), node.repeat));
  }

  #node(node: PatternNode, path: ConfigPath): Built {
    if (node.kind === 'sequence') return this.tree(node.items, path);
    const channels = node.channels.map((name) => ({ name, options: {}, path }));
    if (node.kind === 'term') return this.term([{ name: node.name, options: {}, path }, ...channels]);
    return this.group(node.kind, {
      branches: node.branches.map((branch) => this.tree(branch, path)),
      channels,
      path,
    });
  }

  repeat(blocks: Built, count: number): Built {
    return Array.from({ length: count }, () => blocks).flat();
  }

  term(layers: readonly NamedLayer[]): Built {
    const chosen = this.#choose(layers);
    return chosen.length === layers.length ? [{ kind: 'term', layers: chosen }] : [];
  }

  group(kind: 'parallel' | 'routed', parts: GroupParts): Built {
    const { path } = parts;
    const bare = parts.branches.filter(isBare).length;
    if (bare > 0 && bare < parts.branches.length) {
      this.fault(
        path,
        'branches of one block are either all bare mixers or all made of complete layers (with channel mixers after ' +
          'them); this block mixes both kinds.',
      );
    }
    const branches = parts.branches.map((branch): Block => {
      const [only] = branch;
      return branch.length === 1 && only ? only : { kind: 'sequence', items: branch };
    });
    const channels = this.#choose(parts.channels);
    const fusion = this.#fusionFor(parts);
    if (kind === 'parallel') return fusion ? [{ kind, branches, channels, fusion }] : [];
    const routing = this.#routingFor(parts);
    return fusion && routing ? [{ kind, branches, channels, fusion, routing }] : [];
  }

  #choose(layers: readonly NamedLayer[]): readonly LayerChoice[] {
    return layers.flatMap(({ name, options, path }) => {
      const own = Object.keys(options).length > 0;
      return this.#sections.choose(name, options, own ? [...path, 'options'] : path) ?? [];
    });
  }

  #fusionFor(parts: GroupParts): Fusion | undefined {
    const given = isSection(parts.fusion)
      ? { ...this.#fusion, ...parts.fusion }
      : (parts.fusion ?? this.#fusion);
    return readFusion(
      given,
      parts.fusion === undefined ? ['fusion'] : [...parts.path, 'fusion'],
      this.#issues,
    );
  }

  #routingFor(parts: GroupParts): Routing | undefined {
    const own = parts.routing !== undefined;
    // Options belong to a strategy: a block that names its own starts afresh.
    const inherits = isSection(parts.routing) && !('strategy' in parts.routing);
    const given = inherits ? { ...this.#routing, ...parts.routing } : (parts.routing ?? this.#routing);
    const path = own ? [...parts.path, 'routing'] : ['routing'];
    if (given === undefined) {
      const known = routingStrategies.map((strategy) => strategy.name).join(', ');
      this.#once(
        ['routing', 'strategy'],
        `is missing: a block with '|' needs a strategy. Known: ${known}. Without a split, write '&'.`,
      );
      return undefined;
    }
    return readRouting(given, path, this.#issues, parts.branches.length);
  }

  #once(path: ConfigPath, message: string): void {
    reportOnce(this.#issues, { path, message });
  }
}

/** A branch that is one layer and nothing more shares norm and residual with its block. */
function isBare(branch: Built): boolean {
  const [only] = branch;
  return branch.length === 1 && only?.kind === 'term' && only.layers.length === 1;
}

function reportOnce(issues: ConfigIssue[], issue: ConfigIssue): void {
  const text = JSON.stringify(issue);
  if (!issues.some((known) => JSON.stringify(known) === text)) issues.push(issue);
}

/** A fusion from its section; its faults are reported once. */
export function readFusion(given: unknown, path: ConfigPath, issues: ConfigIssue[]): Fusion | undefined {
  const parsed = fusionSchema.safeParse(given);
  if (!parsed.success) {
    for (const { path: inner, message } of explainIssues(parsed.error, fusionSchema, given)) {
      reportOnce(issues, { path: [...path, ...inner], message });
    }
    return undefined;
  }
  const { type } = parsed.data;
  const known = fusions.map((fusion) => fusion.name);
  if (!known.includes(type)) {
    reportOnce(issues, {
      path: [...path, 'type'],
      message: `there is no fusion '${type}'. ${suggestName(type, known)}`,
    });
    return undefined;
  }
  return parsed.data;
}

/** A routing from its section, for blocks of so many branches where that is known; its faults are reported once. */
export function readRouting(
  given: unknown,
  path: ConfigPath,
  issues: ConfigIssue[],
  branches?: number,
): Routing | undefined {
  const parsed = routingSchema.safeParse(given);
  if (!parsed.success) {
    for (const { path: inner, message } of explainIssues(parsed.error, routingSchema, given)) {
      reportOnce(issues, { path: [...path, ...inner], message });
    }
    return undefined;
  }
  const { strategy } = parsed.data;
  const known = routingStrategies.map(({ name }) => name);
  if (!known.includes(strategy)) {
    const message = `there is no strategy '${strategy}'. ${suggestName(strategy, known)}`;
    reportOnce(issues, { path: [...path, 'strategy'], message });
    return undefined;
  }
  const { mostBranches, check } = findStrategy(strategy);
  if (branches !== undefined && branches > mostBranches) {
    const message = `'${strategy}' routes between ${mostBranches} branches at the most; a block has ${branches}.`;
    reportOnce(issues, { path: [...path, 'strategy'], message });
    return undefined;
  }
  const faults = check(parsed.data, branches);
  for (const { option, message } of faults) reportOnce(issues, { path: [...path, option], message });
  return faults.length === 0 ? parsed.data : undefined;
}
