/**
 * One line for an architecture.
 *
 * ```
 * model = item (space item)*          item = term ['*' int]
 * term  = primary ('+' channel)*      primary = name | '(' model ')' | '(' model ('&' model)+ ')' | '(' model ('|' model)+ ')'
 * ```
 *
 * `&` sends every token through every branch, `|` each token through one. White space around `&`, `|`, `*` and `+` does
 * not matter. A pattern is pure form: names are looked up in a table of kinds, options live in the configuration.
 */
import { BraidError } from '../graph/index.ts';
import type { LayerKind } from '../mixers/index.ts';
import { suggestName } from './nearest.ts';
import type { Token } from './patternTokens.ts';
import { describeToken, patternError, tokenize } from './patternTokens.ts';

export type { LayerKind };

/** The kind of every name that a pattern may use: registry entries and aliases. */
export type LayerNames = ReadonlyMap<string, LayerKind>;

/** A mixer (or a channel mixer alone) followed by channel mixers, each with its own norm and residual. */
export interface TermNode {
  readonly kind: 'term';
  readonly name: string;
  readonly channels: readonly string[];
  readonly repeat: number;
}

/** Branches side by side (`&`: parallel, `|`: routed), then channel mixers. */
export interface BlockNode {
  readonly kind: 'parallel' | 'routed';
  readonly branches: readonly PatternTree[];
  readonly channels: readonly string[];
  readonly repeat: number;
}

/** A plain group: layers one after the other, repeated as a whole. */
export interface SequenceNode {
  readonly kind: 'sequence';
  readonly items: PatternTree;
  readonly repeat: number;
}

export type PatternNode = TermNode | BlockNode | SequenceNode;
export type PatternTree = readonly PatternNode[];

/** A layer after all repetitions are written out. */
export type ExpandedLayer =
  | { readonly kind: 'term'; readonly name: string; readonly channels: readonly string[] }
  | {
      readonly kind: 'parallel' | 'routed';
      readonly branches: readonly (readonly ExpandedLayer[])[];
      readonly channels: readonly string[];
    };

const maximumLayers = 10_000;
const maximumDepth = 32;

/**
 * True for a branch that is one mixer by its name alone: such branches share the norm and the residual of their block.
 * All others are made of complete residual layers.
 */
export function isBareBranch(branch: PatternTree): boolean {
  const [only, ...rest] = branch;
  return rest.length === 0 && only?.kind === 'term' && only.channels.length === 0 && only.repeat === 1;
}

class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  readonly #names: LayerNames | undefined;
  #next = 0;

  constructor(text: string, names: LayerNames | undefined) {
    this.#text = text;
    this.#tokens = tokenize(text);
    this.#names = names;
  }

  parse(): PatternTree {
    const items = this.#model(0);
    const token = this.#peek();
    if (token.kind === '&' || token.kind === '|') {
      this.#fail(
        token,
        `'${token.kind}' stands outside parentheses. Branches are a group: write (a ${token.kind} b).`,
      );
    }
    if (token.kind === ')') this.#fail(token, "this ')' closes nothing. Remove it or add a '(' before.");
    return items;
  }

  #model(depth: number): PatternTree {
    const items: PatternNode[] = [];
    while (true) {
      const token = this.#peek();
      if (token.kind !== 'name' && token.kind !== '(') {
        if (items.length === 0) {
          this.#fail(token, `expected a layer name or '(', found ${describeToken(token)}.`);
        }
        if (token.kind === 'integer') {
          this.#fail(
            token,
            `a number stands only after '*', as in attention*12; found ${describeToken(token)}.`,
          );
        }
        return items;
      }
      if (items.length > 0 && !token.spaceBefore) {
        this.#fail(token, 'layers are separated by a space. Put one here.');
      }
      items.push(this.#item(depth));
    }
  }

  #item(depth: number): PatternNode {
    const first = this.#peek();
    const node = first.kind === '(' ? this.#group(depth) : this.#term();
    if (this.#peek().kind !== '*') return node;
    this.#take();
    const token = this.#peek();
    const repeat = Number(token.text);
    if (token.kind !== 'integer' || repeat < 1 || repeat > maximumLayers) {
      this.#fail(
        token,
        `'*' takes a whole number from 1 to ${maximumLayers}, as in attention*12; found ${describeToken(token)}.`,
      );
    }
    this.#take();
    if (this.#peek().kind === '*') this.#fail(this.#peek(), "one '*' is enough: write the product.");
    if (this.#peek().kind === '+') {
      this.#fail(this.#peek(), "'+' comes before '*': a+b*2 is a+b twice.");
    }
    return { ...node, repeat };
  }

  #term(): TermNode {
    const token = this.#take();
    this.#kindOf(token);
    return { kind: 'term', name: token.text, channels: this.#channels(), repeat: 1 };
  }

  #group(depth: number): PatternNode {
    const open = this.#take();
    if (depth >= maximumDepth) this.#fail(open, `groups may be nested ${maximumDepth} deep at most.`);
    const branches = [this.#model(depth + 1)];
    const separator = this.#peek();
    while (this.#peek().kind === '&' || this.#peek().kind === '|') {
      const token = this.#take();
      if (token.kind !== separator.kind) {
        this.#fail(
          token,
          "'&' and '|' are mixed in one group. Use a group inside the group, such as ((a & b) | c), to say which binds first.",
        );
      }
      branches.push(this.#model(depth + 1));
    }
    if (this.#peek().kind !== ')') {
      this.#fail(
        this.#peek(),
        `expected ')' for the '(' in column ${open.column + 1}, found ${describeToken(this.#peek())}.`,
      );
    }
    this.#take();
    if (separator.kind !== '&' && separator.kind !== '|') {
      if (this.#peek().kind === '+') {
        this.#fail(
          this.#peek(),
          "'+' cannot follow a plain group, which is already a row of complete layers. Write the channel mixer as a layer of its own, after a space.",
        );
      }
      return { kind: 'sequence', items: branches[0] ?? [], repeat: 1 };
    }
    this.#checkBranches(branches, separator);
    const kind = separator.kind === '&' ? 'parallel' : 'routed';
    return { kind, branches, channels: this.#channels(), repeat: 1 };
  }

  #checkBranches(branches: readonly PatternTree[], separator: Token): void {
    const bare = branches.filter(isBareBranch).length;
    if (bare === 0 || bare === branches.length) return;
    this.#fail(
      separator,
      'branches of one block are either all bare mixers (a & b), which share one norm and one residual, or all made of ' +
        'complete layers (a+mlp & b+mlp). This block mixes both kinds.',
    );
  }

  #channels(): readonly string[] {
    const channels: string[] = [];
    while (this.#peek().kind === '+') {
      this.#take();
      const token = this.#peek();
      if (token.kind !== 'name') {
        this.#fail(
          token,
          `'+' is followed by the name of a channel mixer, such as mlp; found ${describeToken(token)}.`,
        );
      }
      if (this.#kindOf(token) === 'mixer') {
        this.#fail(
          token,
          `'${token.text}' is a mixer, and only channel mixers follow '+'. For two layers one after the other use a space; ` +
            'side by side, (a & b).',
        );
      }
      channels.push(this.#take().text);
    }
    return channels;
  }

  /** The kind of a name, or nothing when the parser was given no table. */
  #kindOf(token: Token): LayerKind | undefined {
    if (!this.#names) return undefined;
    const kind = this.#names.get(token.text);
    if (!kind)
      this.#fail(
        token,
        `there is no layer '${token.text}'. ${suggestName(token.text, [...this.#names.keys()])}`,
      );
    return kind;
  }

  #peek(): Token {
    const token = this.#tokens[Math.min(this.#next, this.#tokens.length - 1)];
    if (!token) throw new BraidError('pattern', 'The pattern has no tokens.');
    return token;
  }

  #take(): Token {
    const token = this.#peek();
    this.#next++;
    return token;
  }

  #fail(token: Token, message: string): never {
    throw patternError(this.#text, token.column, message);
  }
}

/**
 * Reads a pattern. With `names`, every name must be in that table and only channel mixers may follow `+`.
 * Errors are `BraidError('pattern')` and show the place with a caret.
 */
export function parsePattern(text: string, names?: LayerNames): PatternTree {
  const tree = new Parser(text, names).parse();
  const layers = countLayers(tree);
  if (layers > maximumLayers) {
    throw new BraidError(
      'pattern',
      `The pattern '${text}' stands for ${layers} layers; ${maximumLayers} is the limit. Lower the numbers after '*'.`,
    );
  }
  return tree;
}

/** Layers after expansion; those in branches count too. */
function countLayers(tree: PatternTree): number {
  let count = 0;
  for (const node of tree) {
    if (node.kind === 'term') count += node.repeat;
    else if (node.kind === 'sequence') count += node.repeat * countLayers(node.items);
    else count += node.repeat * node.branches.reduce((sum, branch) => sum + countLayers(branch), 0);
  }
  return count;
}

/** Writes a tree as the shortest pattern that reads back as the same tree. */
export function formatPattern(tree: PatternTree): string {
  return tree.map(formatNode).join(' ');
}

function formatNode(node: PatternNode): string {
  const repeat = node.repeat === 1 ? '' : `*${node.repeat}`;
  if (node.kind === 'term') return [node.name, ...node.channels].join('+') + repeat;
  if (node.kind === 'sequence') return `(${formatPattern(node.items)})${repeat}`;
  const separator = node.kind === 'parallel' ? ' & ' : ' | ';
  const group = `(${node.branches.map(formatPattern).join(separator)})`;
  return [group, ...node.channels].join('+') + repeat;
}

/** Writes out all repetitions and plain groups: the list of layers from input to output. */
export function expandPattern(tree: PatternTree): readonly ExpandedLayer[] {
  return tree.flatMap((node) => {
    const once = expandOnce(node);
    return Array.from({ length: node.repeat }, () => once).flat();
  });
}

function expandOnce(node: PatternNode): readonly ExpandedLayer[] {
  if (node.kind === 'term') return [{ kind: 'term', name: node.name, channels: node.channels }];
  if (node.kind === 'sequence') return expandPattern(node.items);
  return [{ kind: node.kind, branches: node.branches.map(expandPattern), channels: node.channels }];
}

/** All names in a pattern, each once, in order of appearance. */
export function namesInPattern(tree: PatternTree): readonly string[] {
  const names = new Set<string>();
  const visit = (nodes: PatternTree): void => {
    for (const node of nodes) {
      if (node.kind === 'term') names.add(node.name);
      else if (node.kind === 'sequence') visit(node.items);
      else node.branches.forEach(visit);
      if (node.kind !== 'sequence') for (const channel of node.channels) names.add(channel);
    }
  };
  visit(tree);
  return [...names];
}
