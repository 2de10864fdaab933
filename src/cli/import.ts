/** `braid import`: a model that others wrote becomes a run. */
import { copyFileSync, existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Command } from 'commander';
import { openExecutor } from '../bench/session.ts';
import { BraidError, elementCount } from '../graph/index.ts';
import type { OpenedModel } from '../models/index.ts';
import { applyOverrides, families, IMPORTED_CONFIG, openFolder } from '../models/index.ts';
import { formatCount } from '../report/format.ts';
import type { FrozenRunConfig } from '../train/index.ts';
import { createRun, freeze, parseRunConfig, requireNoRun } from '../train/index.ts';
import { several } from './arguments.ts';
import { checkVocabulary } from './settings.ts';

interface Options {
  readonly out?: string;
  readonly tokenizer?: string;
  readonly text?: readonly string[];
  readonly executor?: string;
}

export function command(): Command {
  return new Command('import')
    .description('Make a run of a model in a Hugging Face folder: config.json and safetensors.')
    .argument('<folder>', 'the folder of the model')
    .argument('[overrides...]', 'values of the training configuration, as train.KEY=value')
    .option('-o, --out <folder>', 'the folder of the run (default: runs/<name of the folder>)')
    .option(
      '--tokenizer <name>',
      "'bytes', 'tiktoken:NAME', a tokenizer.json, or 'none': the model takes token ids (default: the tokenizer.json " +
        'of the folder, if there is one)',
    )
    .option(
      '--text <file>',
      'plain text to train on later (once per file; default: the Brown corpus)',
      several,
    )
    .option('--executor <name>', 'native or reference')
    .addHelpText(
      'after',
      `\nFamilies: ${families.map(({ name }) => name).join(', ')}.\n\nExample:\n  braid import mamba-130m-hf -o runs/mamba-130m`,
    )
    .action(run);
}

async function run(folder: string, overrides: string[], options: Options): Promise<void> {
  const out = options.out ?? join('runs', basename(resolve(folder)));
  // Before much is read.
  requireNoRun(out);
  const model = await openFolder(folder);
  try {
    const name = basename(resolve(folder));
    const tokenizer = options.tokenizer ?? ownTokenizer(folder);
    const config = runConfig(model, name, overrides, { ...options, tokenizer });
    const values = model.parameters.map(({ name, shape }) => ({
      key: `parameter/${name}`,
      dtype: 'float32' as const,
      shape,
      data: new Float32Array(elementCount(shape)),
    }));
    const targets = new Map(model.parameters.map(({ name }, index) => [name, values[index].data]));
    await model.read((name) => targets.get(name) ?? new Float32Array());
    const created = await createRun(out, config);
    copyFileSync(join(folder, 'config.json'), join(created.folder, IMPORTED_CONFIG));
    const loader = { seed: config.train.seed, epoch: 0, index: 0 };
    const progress = { step: 0, tokens: 0, seconds: 0, loader, text: '' };
    await created.checkpoints.save(progress, { parameters: values }, config.train.keep);
    const count = values.reduce((sum, { data }) => sum + data.length, 0);
    process.stdout.write(
      `A ${model.family} model with ${formatCount(count)} parameters is the run ${created.folder}.\n` +
        `Try: braid generate ${created.folder} ${tokenizer === 'none' ? '--ids 1,2,3' : '--prompt "Once"'}\n`,
    );
  } finally {
    await model.close();
  }
}

/** The tokenizer that came with the model. */
function ownTokenizer(folder: string): string {
  const path = join(folder, 'tokenizer.json');
  return existsSync(path) ? path : 'none';
}

function runConfig(
  model: OpenedModel,
  name: string,
  overrides: readonly string[],
  { tokenizer, text, executor }: Options & { readonly tokenizer: string },
): FrozenRunConfig {
  const foreign = overrides.find((override) => !override.startsWith('train.'));
  if (foreign !== undefined) {
    throw new BraidError(
      'usage',
      `'${foreign}' cannot be set here: the model is what the folder says. Overrides begin with 'train.'.`,
    );
  }
  const value = {
    model: { name, ...model.config },
    data: { tokenizer, ...(text ? { text } : {}) },
    train: { length: 1024, ...(executor === undefined ? {} : { executor }) },
  };
  const overridden = applyOverrides(value, overrides);
  const { train } = overridden.value as typeof value;
  const complete = 'tokens' in train ? train : { steps: 1000, ...train };
  const config = parseRunConfig({ ...value, train: complete }, 'The imported run', overridden.locate);
  checkVocabulary(config);
  return freeze(config, openExecutor(config.train).machine);
}
