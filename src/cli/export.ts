/** `braid export`: the newest checkpoint of a run as others read it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { sharedTokenizer, tokenizerOf } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import type { ExportType } from '../models/index.ts';
import {
  exportFamilies,
  exportTypes,
  express,
  findExportFamily,
  IMPORTED_CONFIG,
  parseFields,
  SafetensorsFile,
  writeFolder,
} from '../models/index.ts';
import type { Checkpoint } from '../train/index.ts';
import { openRun } from '../train/index.ts';

interface Options {
  readonly to: string;
  readonly out: string;
  readonly dtype: ExportType;
  readonly shard: number;
}

export function command(): Command {
  return new Command('export')
    .description('Write the newest checkpoint of a run as a Hugging Face folder.')
    .argument('<run>', 'the folder of a run')
    .requiredOption('--to <family>', `what to write it as: ${exportFamilies.join(', ')}`)
    .requiredOption('-o, --out <folder>', 'the folder to write')
    .addOption(
      new Option('--dtype <type>', 'of the stored values').choices([...exportTypes]).default('float32'),
    )
    .option('--shard <size>', 'most bytes in one file, such as 500MB or 5GB', bytes, 5e9)
    .addHelpText(
      'after',
      '\nExample:\n  braid export runs/llama-nano --to llama -o exported/llama-nano --dtype bfloat16',
    )
    .action(run);
}

function bytes(text: string): number {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)\s*([KMG]?)B?$/i.exec(text.trim()) ?? [];
  const size = Number(amount) * { '': 1, K: 1e3, M: 1e6, G: 1e9 }[unit.toUpperCase() as '' | 'K' | 'M' | 'G'];
  if (size > 0) return size;
  throw new InvalidArgumentError('Give a size such as 500MB or 5GB.');
}

async function run(folder: string, { to, out, dtype, shard }: Options): Promise<void> {
  const family = findExportFamily(to);
  const opened = openRun(folder);
  const expressed = express(opened.config.model, family);
  const tokenizer = sharedTokenizer(tokenizerOf(opened.config.data));
  const checkpoint = newest(opened.checkpoints.list(), folder);
  const file = await SafetensorsFile.open(join(checkpoint.folder, 'parameters.safetensors'));
  try {
    for (const { name, shape } of expressed.parameters) file.entry(name, shape);
    const names = await writeFolder(out, expressed, (name) => file.readFloat32(name), {
      dtype,
      shardBytes: shard,
      keep: imported(folder),
      files: tokenizer.files,
    });
    process.stdout.write(
      `Step ${checkpoint.step} of ${folder} is written as ${family.name}, ${dtype}, to ${out}: config.json and ` +
        `${names.length === 1 ? names[0] : `${names.length} files of weights with their index`}. ` +
        `${tokenizer.note}\n`,
    );
  } finally {
    await file.close();
  }
}

function newest([checkpoint]: readonly Checkpoint[], folder: string): Checkpoint {
  if (checkpoint) return checkpoint;
  throw new BraidError(
    'checkpoint',
    `The run '${folder}' has no complete checkpoint to export. Train it first.`,
  );
}

/** What the run's model said of itself when it was imported. */
function imported(folder: string): Readonly<Record<string, unknown>> {
  const path = join(folder, IMPORTED_CONFIG);
  return existsSync(path) ? parseFields(path, readFileSync(path, 'utf8')).values : {};
}
