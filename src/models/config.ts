/**
 * The configuration of a model: an architecture (`pattern` or `layers`), sizes, and one section of options per layer.
 * Parsing fills in every default, so that a stored configuration does not depend on the version that reads it.
 */
import { z } from 'zod';
import type { Block } from '../blocks/index.ts';
import { BraidError } from '../graph/index.ts';
import { Assembler, readFusion, readRouting } from './assembler.ts';
import type { ConfigIssue, Locate } from './configIssues.ts';
import { describeValue, explainIssues, parseConfig } from './configIssues.ts';
import { readConfigText } from './configText.ts';
import type { LayerForm } from './layerForm.ts';
import { readLayerForms } from './layerForm.ts';
import { applyOverrides } from './overrides.ts';
import type { PatternTree } from './pattern.ts';
import { parsePattern } from './pattern.ts';
import type { Options } from './sections.ts';
import { isSection, Sections } from './sections.ts';

const fieldsSchema = z.strictObject({
  name: z.string().min(1).optional(),
  /** One line for the architecture; `layers` is the same as objects. Exactly one of them is given. */
  pattern: z.string().optional(),
  layers: z.unknown().optional(),
  /** Features of the residual stream. */
  width: z
    .int()
    .positive()
    .max(1 << 20),
  /** Number of token ids. */
  vocabulary: z
    .int()
    .positive()
    .max(1 << 26),
  /** Use the embedding as the head too. */
  tiedHead: z.boolean().default(false),
  normEpsilon: z.number().positive().max(0.1).default(1e-6),
  /** Learned tokens before every row, which attention with at least as many `sinks` always sees (Hymba). */
  metaTokens: z.int().nonnegative().max(4096).default(0),
  /** Norms multiply by 1 + weight in place of the weight (Gemma). */
  normOffset: z.boolean().default(false),
  /** What embeddings are multiplied by (Falcon-H1's multipliers, and Gemma's root of the width). */
  embeddingScale: z.number().default(1),
  /** What logits are multiplied by. */
  logitScale: z.number().default(1),
  /** c: logits z become c · tanh(z / c) (Gemma 2, RecurrentGemma). Not given: they stay as they are. */
  logitSoftCap: z.number().positive().optional(),
  /** Standard deviation of initial weights; projections into the residual stream get it divided by √(2 · layers). */
  initialDeviation: z.number().positive().max(1).default(0.02),
  /** How branches become one stream again, for all blocks of branches. */
  fusion: z.unknown().optional(),
  /** Which tokens go to which branch, for all blocks with `|`. */
  routing: z.unknown().optional(),
});

type Fields = z.infer<typeof fieldsSchema>;

/** A checked configuration. Sections of layer options and aliases stand beside the fields, under their names. */
export interface ModelConfig extends Omit<Fields, 'layers' | 'fusion' | 'routing'> {
  readonly layers?: readonly LayerForm[] | undefined;
  readonly fusion?: Options | undefined;
  readonly routing?: Options | undefined;
  readonly [section: string]: unknown;
}

/** Keys of a configuration that are its own; all others are sections with options of layers. */
export const modelFields: readonly string[] = Object.keys(fieldsSchema.shape);

/** The schema of a model configuration, as a part of larger ones too. Its faults carry complete messages. */
export const modelConfigSchema: z.ZodType<ModelConfig> = z.unknown().transform((value, context) => {
  const { config, issues } = readModel(value);
  for (const { path, message } of issues) context.addIssue({ code: 'custom', path: [...path], message });
  return config ?? z.NEVER;
});

/** Checks a value. Throws `BraidError('config')` with all faults. */
export function parseModelConfig(
  value: unknown,
  what = 'The model configuration',
  locate?: Locate,
): ModelConfig {
  return parseConfig(modelConfigSchema, value, what, locate);
}

/** Reads a configuration from YAML text, with overrides (`path.to.key=value`) applied. */
export function readModelConfig(text: string, name: string, overrides: readonly string[] = []): ModelConfig {
  const source = readConfigText(text, name);
  const { value, locate } = applyOverrides(source.value, overrides, source.locate);
  return parseModelConfig(value, `The model configuration ${name}`, locate);
}

/** The blocks of a configuration, from input to output. */
export function blocksOf(config: ModelConfig): readonly Block[] {
  const { blocks, issues } = readModel(config);
  const [first] = issues;
  if (first) throw new BraidError('config', `This is not a checked model configuration: ${first.message}`);
  return blocks;
}

interface ReadModel {
  readonly config?: ModelConfig;
  readonly blocks: readonly Block[];
  readonly issues: readonly ConfigIssue[];
}

function readModel(value: unknown): ReadModel {
  if (!isSection(value)) {
    return {
      blocks: [],
      issues: [{ path: [], message: `expected a section; given ${describeValue(value)}.` }],
    };
  }
  const issues: ConfigIssue[] = [];
  const own = Object.fromEntries(Object.entries(value).filter(([key]) => modelFields.includes(key)));
  const rest = Object.fromEntries(Object.entries(value).filter(([key]) => !modelFields.includes(key)));
  const parsed = fieldsSchema.safeParse(own);
  if (!parsed.success) {
    issues.push(...explainIssues(parsed.error, fieldsSchema, own));
    // Misspelt keys are often why a field is missing: say both.
    new Sections(rest, modelFields, undefined, issues);
    return { blocks: [], issues };
  }
  const fields = parsed.data;
  const sections = new Sections(rest, modelFields, fields.width, issues);
  const fusion = readFusion(fields.fusion ?? {}, ['fusion'], issues);
  const routing = fields.routing === undefined ? undefined : readRouting(fields.routing, ['routing'], issues);
  if (issues.length > 0) return { blocks: [], issues };
  const assembler = new Assembler(sections, { ...fusion }, routing && { ...routing }, issues);
  const blocks = readArchitecture(fields, assembler);
  if (routing && blocks.length > 0 && !contains(blocks, ['routed'])) {
    assembler.fault(
      ['routing'],
      "has no use: no block routes tokens. Write '|' between branches, or leave it out.",
    );
  }
  if (fields.metaTokens > 0 && contains(blocks, ['routed'])) {
    assembler.fault(
      ['metaTokens'],
      `is ${fields.metaTokens}, but a block routes tokens by their place in the row, which would send meta tokens to one ` +
        "branch only. Leave it out, or write '&' between branches.",
    );
  }
  const { layers, fusion: _fusion, routing: _routing, ...simple } = fields;
  const config: ModelConfig = {
    ...simple,
    ...(layers === undefined ? {} : { layers: layers as readonly LayerForm[] }),
    ...(contains(blocks, ['parallel', 'routed']) ? { fusion: { ...fusion } } : {}),
    ...(routing ? { routing: { ...routing } } : {}),
    ...sections.complete(),
  };
  return { config, blocks, issues };
}

/** Whether a block of one of these kinds stands anywhere in the architecture. */
function contains(blocks: readonly Block[], kinds: readonly Block['kind'][]): boolean {
  return blocks.some((block) => {
    if (kinds.includes(block.kind)) return true;
    if (block.kind === 'term') return false;
    return contains(block.kind === 'sequence' ? block.items : block.branches, kinds);
  });
}

function readArchitecture(fields: Fields, assembler: Assembler): readonly Block[] {
  const { pattern, layers } = fields;
  if ((pattern === undefined) === (layers === undefined)) {
    const given = pattern === undefined ? 'neither is' : 'both are';
    assembler.fault(
      [],
      `exactly one of 'pattern' and 'layers' says what the model is made of; ${given} given.`,
    );
    return [];
  }
  if (pattern === undefined) return readLayerForms(layers, assembler, ['layers']);
  let tree: PatternTree;
  try {
    tree = parsePattern(pattern, assembler.names);
  } catch (error) {
    if (!(error instanceof BraidError)) throw error;
    assembler.fault(['pattern'], error.message);
    return [];
  }
  return assembler.tree(tree, ['pattern']);
}
