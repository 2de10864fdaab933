/** What a run is told: model, text and training, one schema each, written in full into the run's folder. */
import { z } from 'zod';
import { BraidError } from '../graph/index.ts';
import { modelConfigSchema } from '../models/config.ts';
import type { Locate } from '../models/configIssues.ts';
import { parseConfig } from '../models/configIssues.ts';

const natural = z.int().positive();

const shardFolder = z.string().min(1);

export const dataConfigSchema = z
  .strictObject({
    /** `brown`, or plain text files. */
    text: z.union([z.literal('brown'), z.array(z.string()).min(1)]).default('brown'),
    /** Folders of token shards instead of text, the rows of several drawn by weight. */
    shards: z
      .union([
        shardFolder,
        z.array(z.strictObject({ folder: shardFolder, weight: z.number().positive() })).min(1),
      ])
      .optional(),
    /** `bytes`, `none`, a `tokenizer.json`, `tiktoken:NAME`; `shards`, the default with shards: the one they were made with. */
    tokenizer: z.string().default('bytes'),
    /** What a run keeps to know its tokenizer again; filled in when it begins. */
    tokenizerIdentity: z.string().optional(),
    /** Every n-th document validates; shards are split when they are prepared. */
    validateEvery: z.int().min(2).default(20),
    /** `apart`: nothing passes from one document of a row to the next. `joined`: a row is one text. */
    documents: z.enum(['apart', 'joined']).default('apart'),
    /** `even`, or `dna`: the weights of StripedHyena 2 (data/dna.ts). */
    weighting: z.enum(['even', 'dna']).default('even'),
  })
  .refine((data) => data.shards === undefined || data.text === 'brown', {
    message: "give either 'text' or 'shards', and not both.",
    path: ['shards'],
  });

export const trainConfigSchema = z
  .strictObject({
    /** Tokens in a row. */
    length: natural.default(1024),
    /** Rows in a forward pass. */
    batch: natural.default(2),
    /** Forward passes in an optimizer step. */
    accumulation: natural.default(1),
    /** Length of the run: optimizer steps, or tokens, which are rounded up to whole steps. */
    steps: natural.optional(),
    tokens: natural.optional(),
    learningRate: z.number().positive().default(1e-3),
    /** Share of the steps in which the rate rises. */
    warmup: z.number().min(0).max(1).default(0.05),
    /** What is left of the rate at the end. */
    finalRate: z.number().min(0).max(1).default(0.1),
    decay: z.number().min(0).default(0.1),
    beta1: z.number().min(0).lt(1).default(0.9),
    beta2: z.number().min(0).lt(1).default(0.95),
    epsilon: z.number().positive().default(1e-8),
    /** Largest norm of the gradient; 0: no clipping. */
    clip: z.number().min(0).default(1),
    /** `auto`: bfloat16 where the CPU multiplies it, else float32. */
    precision: z.enum(['auto', 'bfloat16', 'float32', 'float64']).default('auto'),
    executor: z.enum(['native', 'reference']).default('native'),
    /** 0: as many as the machine offers. */
    threads: z.int().min(0).default(0),
    /** Run the branches of a block at the same time; `auto`: where a measurement shows that steps are faster so. */
    lanes: z.union([z.boolean(), z.literal('auto')]).default(false),
    /** Forget the activations of every block and compute them again in the backward pass. */
    recompute: z.boolean().default(false),
    seed: z.int().min(0).default(1),
    /** Tokens whose logits are in memory at the same time. */
    lossChunk: natural.default(1024),
    /** Steps between checkpoints; 0: only at the end. */
    checkpointEvery: z.int().min(0).default(100),
    /** Checkpoints kept. */
    keep: natural.default(2),
    /** Steps between validations; 0: only at the end. */
    validateEvery: z.int().min(0).default(0),
    /** Most rows of text in one validation, from its beginning; 0: all. */
    validateRows: z.int().min(0).default(0),
  })
  .refine((train) => (train.steps === undefined) !== (train.tokens === undefined), {
    message: "give either 'steps' or 'tokens', and not both.",
    path: ['steps'],
  })
  .refine((train) => train.precision !== 'float64' || train.executor === 'reference', {
    message: "float64 runs on the reference executor only; set train.executor to 'reference'.",
    path: ['precision'],
  });

export const runConfigSchema = z.strictObject({
  model: modelConfigSchema,
  data: dataConfigSchema.prefault({}),
  train: trainConfigSchema,
});

export type DataConfig = z.infer<typeof dataConfigSchema>;
export type TrainConfig = z.infer<typeof trainConfigSchema>;
export type RunConfig = z.infer<typeof runConfigSchema>;
export type Precision = 'bfloat16' | 'float32' | 'float64';

/** A training part with nothing left to the machine: what the run's folder keeps and resuming repeats. */
export interface FrozenTrainConfig extends TrainConfig {
  readonly steps: number;
  readonly precision: Precision;
  readonly threads: number;
  readonly lanes: boolean;
}

export interface FrozenRunConfig extends RunConfig {
  readonly train: FrozenTrainConfig;
}

/** What a machine offers, for the values that a configuration leaves to it. */
export interface MachineDefaults {
  readonly threads: number;
  /** Whether the chosen executor multiplies BF16 in hardware. */
  readonly bfloat16: boolean;
  /** What a measurement chose where `train.lanes` is `auto`. Not given: `auto` is an error. */
  readonly lanes?: boolean;
}

export function parseRunConfig(value: unknown, what: string, locate?: Locate): RunConfig {
  return parseConfig(runConfigSchema, withTokenizerOfShards(value), what, locate);
}

/** Shards were made with a tokenizer: it is theirs unless another is named. */
function withTokenizerOfShards(value: unknown): unknown {
  if (!isSection(value) || !isSection(value.data)) return value;
  const { data } = value;
  if (data.shards === undefined || data.tokenizer !== undefined) return value;
  return { ...value, data: { ...data, tokenizer: 'shards' } };
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Tokens in one optimizer step. */
export function tokensPerStep(train: Pick<TrainConfig, 'batch' | 'accumulation' | 'length'>): number {
  return train.batch * train.accumulation * train.length;
}

/** Puts in what the configuration leaves open: steps from tokens, precision and threads from the machine. */
export function freeze(config: RunConfig, machine: MachineDefaults): FrozenRunConfig {
  return { ...config, train: freezeTrain(config.train, machine) };
}

export function freezeTrain(given: TrainConfig, machine: MachineDefaults): FrozenTrainConfig {
  const { steps, tokens, ...train } = given;
  const lanes = train.lanes === 'auto' ? machine.lanes : train.lanes;
  if (lanes === undefined) {
    throw new BraidError(
      'config',
      "train.lanes is 'auto', which takes a measurement that is not made here. Give true or false.",
    );
  }
  const automatic = train.executor === 'native' && machine.bfloat16 ? 'bfloat16' : 'float32';
  return {
    ...train,
    steps: steps ?? Math.ceil((tokens ?? 0) / tokensPerStep(train)),
    precision: train.precision === 'auto' ? automatic : train.precision,
    threads: train.threads === 0 ? machine.threads : train.threads,
    lanes,
  };
}

/** Checks that a configuration read from a run's folder is one that `freeze` made. */
export function asFrozen(config: RunConfig, what: string): FrozenRunConfig {
  const { steps, precision, threads, lanes } = config.train;
  if (steps === undefined || precision === 'auto' || threads === 0 || lanes === 'auto') {
    throw new BraidError(
      'config',
      `${what}: train.steps, train.precision, train.threads and train.lanes of a run are fixed when it begins, but they are ` +
        `${steps}, ${precision}, ${threads} and ${lanes}. The file was changed by hand; restore it.`,
    );
  }
  return { ...config, train: { ...config.train, steps, precision, threads, lanes } };
}
