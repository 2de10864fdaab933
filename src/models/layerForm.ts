/**
 * The architecture as typed objects, for what a pattern cannot say: options, fusion or routing of a single layer. Text
 * among them is a pattern, so both forms mix.
 *
 * ```ts
 * layers: [
 *   { layer: 'attention', options: { window: 256 }, channels: ['mlp'], repeat: 2 },
 *   { parallel: ['attention+mlp', 'mamba1+mlp'], fusion: { type: 'sum' } },
 *   '(attention+mlp | mamba1+mlp)*2',
 * ]
 * ```
 */
import { BraidError } from '../graph/index.ts';
import type { Assembler, Built } from './assembler.ts';
import type { ConfigPath } from './configIssues.ts';
import { describeValue, unknownKey } from './configIssues.ts';
import type { PatternTree } from './pattern.ts';
import { parsePattern } from './pattern.ts';
import { isSection } from './sections.ts';

/** A mixer or channel mixer, by name or with options of its own. */
export type LayerReference =
  | string
  | { readonly layer: string; readonly options?: Readonly<Record<string, unknown>> };

/** One entry of `layers`. Text is a pattern. */
export type LayerForm =
  | string
  | {
      readonly layer: string;
      readonly options?: Readonly<Record<string, unknown>>;
      /** Channel mixers after it, each with its own norm and residual. */
      readonly channels?: readonly LayerReference[];
      readonly repeat?: number;
    }
  | { readonly sequence: readonly LayerForm[]; readonly repeat?: number }
  | (GroupForm & { readonly parallel: readonly BranchForm[] })
  | (GroupForm & {
      readonly routed: readonly BranchForm[];
      readonly routing?: Readonly<Record<string, unknown>>;
    });

export type BranchForm = LayerForm | readonly LayerForm[];

interface GroupForm {
  readonly channels?: readonly LayerReference[];
  readonly fusion?: Readonly<Record<string, unknown>>;
  readonly repeat?: number;
}

const keysOf = {
  layer: ['layer', 'options', 'channels', 'repeat'],
  sequence: ['sequence', 'repeat'],
  parallel: ['parallel', 'channels', 'fusion', 'repeat'],
  routed: ['routed', 'channels', 'fusion', 'routing', 'repeat'],
} as const;

type FormKind = keyof typeof keysOf;

const formKinds = Object.keys(keysOf) as FormKind[];

/** Reads a list of entries; faults go to the assembler with their paths. */
export function readLayerForms(value: unknown, assembler: Assembler, path: ConfigPath): Built {
  if (!Array.isArray(value) || value.length === 0) {
    assembler.fault(path, `expected a list of layers; given ${describeValue(value)}.`);
    return [];
  }
  return value.flatMap((entry: unknown, index) => readForm(entry, assembler, [...path, index]));
}

function readForm(value: unknown, assembler: Assembler, path: ConfigPath): Built {
  if (typeof value === 'string') return readText(value, assembler, path);
  if (!isSection(value)) {
    assembler.fault(
      path,
      `expected a pattern or an object with ${formKinds.join(', ')}; given ${describeValue(value)}.`,
    );
    return [];
  }
  const [kind, ...others] = formKinds.filter((candidate) => candidate in value);
  if (kind === undefined || others.length > 0) {
    assembler.fault(path, `needs exactly one of ${formKinds.join(', ')}; given ${describeValue(value)}.`);
    return [];
  }
  for (const key of Object.keys(value)) {
    if (!(keysOf[kind] as readonly string[]).includes(key))
      assembler.fault([...path, key], unknownKey(key, keysOf[kind]));
  }
  const repeat = readRepeat(value.repeat, assembler, [...path, 'repeat']);
  return assembler.repeat(readKind(kind, value, assembler, path), repeat);
}

function readKind(
  kind: FormKind,
  value: Readonly<Record<string, unknown>>,
  assembler: Assembler,
  path: ConfigPath,
): Built {
  if (kind === 'sequence') return readLayerForms(value.sequence, assembler, [...path, 'sequence']);
  const channels = readReferences(value.channels, assembler, [...path, 'channels']);
  if (kind === 'layer') {
    const { layer, options } = value;
    return assembler.term([{ ...readReference({ layer, options }, assembler, path), path }, ...channels]);
  }
  const branches = value[kind];
  if (!Array.isArray(branches) || branches.length < 2) {
    assembler.fault(
      [...path, kind],
      `expected a list of at least two branches; given ${describeValue(branches)}.`,
    );
    return [];
  }
  return assembler.group(kind, {
    branches: branches.map((branch: unknown, index) => readBranch(branch, assembler, [...path, kind, index])),
    channels,
    fusion: value.fusion,
    routing: value.routing,
    path,
  });
}

function readBranch(value: unknown, assembler: Assembler, path: ConfigPath): Built {
  return Array.isArray(value) ? readLayerForms(value, assembler, path) : readForm(value, assembler, path);
}

function readText(text: string, assembler: Assembler, path: ConfigPath): Built {
  let tree: PatternTree;
  try {
    tree = parsePattern(text, assembler.names);
  } catch (error) {
    if (!(error instanceof BraidError)) throw error;
    assembler.fault(path, error.message);
    return [];
  }
  return assembler.tree(tree, path);
}

interface Reference {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly path: ConfigPath;
}

function readReferences(value: unknown, assembler: Assembler, path: ConfigPath): readonly Reference[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    assembler.fault(path, `expected a list of channel mixers, such as [mlp]; given ${describeValue(value)}.`);
    return [];
  }
  return value.map((entry: unknown, index) => {
    const reference = readReference(entry, assembler, [...path, index]);
    if (assembler.names.get(reference.name) === 'mixer') {
      assembler.fault([...path, index], `'${reference.name}' is a mixer; only channel mixers stand here.`);
    }
    return reference;
  });
}

function readReference(value: unknown, assembler: Assembler, path: ConfigPath): Reference {
  if (typeof value === 'string') return { name: value, options: {}, path };
  const { layer, options = {} } = isSection(value) ? value : {};
  if (typeof layer !== 'string') {
    assembler.fault(
      path,
      `expected the name of a layer or { layer: NAME, options: … }; given ${describeValue(value)}.`,
    );
    return { name: '', options: {}, path };
  }
  if (!isSection(options)) {
    assembler.fault(
      [...path, 'options'],
      `expected a section with options; given ${describeValue(options)}.`,
    );
    return { name: layer, options: {}, path };
  }
  return { name: layer, options, path };
}

function readRepeat(value: unknown, assembler: Assembler, path: ConfigPath): number {
  if (value === undefined) return 1;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 10_000) return value;
  assembler.fault(path, `must be a whole number from 1 to 10000; given ${describeValue(value)}.`);
  return 1;
}
