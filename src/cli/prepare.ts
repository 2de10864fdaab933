/** `braid prepare`: text to token shards. */
import { existsSync, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import {
  type Format,
  findInputs,
  findTokenizer,
  formats,
  type PrepareProgress,
  prepare,
  tokenizerFile,
  writeTrainedTokenizer,
} from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import { formatCount } from '../report/format.ts';
import { count } from './arguments.ts';
import { createProgress } from './progress.ts';
import { onInterrupt } from './signals.ts';

interface Options {
  readonly out: string;
  readonly tokenizer?: string;
  readonly trainTokenizer?: number;
  readonly format?: Format;
  readonly field?: string;
  readonly validateEvery?: number;
  readonly shardTokens?: number;
  readonly threads?: number;
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('prepare')
    .description('Make token shards of text, to train on texts that do not fit into memory.')
    .argument(
      '<inputs...>',
      'files, folders and globs of text, JSON lines, Parquet or FASTA; .gz and .zst are unpacked',
    )
    .requiredOption('-o, --out <folder>', 'the folder of the shards')
    .option('--tokenizer <name>', "'bytes' (default), a tokenizer.json, or 'tiktoken:NAME'")
    .option('--train-tokenizer <size>', 'learn a tokenizer of so many tokens from the inputs first', count)
    .addOption(
      new Option('--format <format>', 'of all inputs (default: by their names)').choices([...formats]),
    )
    .option('--field <name>', 'where JSON lines and Parquet keep the text (default: text)')
    .option('--validate-every <n>', 'every n-th document validates (default: 100)', count)
    .option('--shard-tokens <n>', 'training tokens in a shard (default: 33554432)', count)
    .option('--threads <n>', 'threads that encode (default: all)', count)
    .option('--json', 'print what was made as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  braid prepare book.txt --out shards\n' +
        "  braid prepare 'web/*.jsonl.zst' --field content --tokenizer tokenizer.json --out shards\n" +
        '  braid prepare library/ --train-tokenizer 8192 --out shards\n' +
        '  braid train llama-nano data.shards=shards\n\n' +
        'An interrupted preparation goes on with the same command.',
    )
    .action(run);
}

async function run(inputs: string[], options: Options): Promise<void> {
  const interruption = onInterrupt('Stopping; complete shards are kept.');
  const begin = performance.now();
  const show = display();
  let last: PrepareProgress | undefined;
  try {
    const { out, json, threads, trainTokenizer: size, ...rest } = options;
    const { signal } = interruption;
    const tokenizer =
      size === undefined ? (options.tokenizer ?? 'bytes') : await ownTokenizer(inputs, size, options, signal);
    const { manifest, found } = await prepare({
      inputs,
      folder: out,
      ...rest,
      tokenizer,
      threads: tokenizer === 'bytes' ? 0 : (threads ?? availableParallelism()),
      signal,
      onProgress: (progress) => {
        last = progress;
        show.update(progress);
      },
    });
    show.finish();
    const { train, validation } = manifest.shards;
    const sum = (split: typeof train, key: 'tokens' | 'documents' | 'bytes'): number =>
      split.reduce((total, shard) => total + shard[key], 0);
    const totals = (split: typeof train) => ({
      shards: split.length,
      documents: sum(split, 'documents'),
      tokens: sum(split, 'tokens'),
      bytes: sum(split, 'bytes'),
    });
    const seconds = (performance.now() - begin) / 1000;
    const figures = {
      folder: out,
      tokenizer: { name: manifest.tokenizer.name, encoder: findTokenizer(tokenizer).encoder },
      train: totals(train),
      validation: totals(validation),
      shardsFoundBefore: found,
      tokensNow: last?.tokens ?? 0,
      seconds,
    };
    if (json) process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
    else process.stdout.write(summary(figures));
  } finally {
    show.finish();
    interruption.release();
  }
}

/** Learns a tokenizer into the folder of the shards, or takes the one that an earlier call has learned there. */
async function ownTokenizer(
  inputs: readonly string[],
  size: number,
  { out, tokenizer, format, field }: Options,
  signal: AbortSignal,
): Promise<string> {
  if (tokenizer !== undefined) {
    throw new BraidError('usage', 'Give either --tokenizer or --train-tokenizer, and not both.');
  }
  const path = join(out, tokenizerFile);
  if (existsSync(path)) {
    const { vocabulary } = findTokenizer(path);
    if (vocabulary === size) return path;
    throw new BraidError(
      'usage',
      `'${path}' has ${vocabulary} tokens already, not ${size}. Give another folder, or the same --train-tokenizer.`,
    );
  }
  const files = findInputs(inputs, format);
  mkdirSync(out, { recursive: true });
  let line = createProgress('counting words, bytes');
  let phase = '';
  await writeTrainedTokenizer(path, {
    files,
    field: field ?? 'text',
    size,
    signal,
    onProgress: (progress) => {
      if (progress.phase !== phase) {
        line.finish();
        line = createProgress(`${progress.phase}${progress.phase === 'counting words' ? ', bytes' : ''}`);
        phase = progress.phase;
      }
      line.update(progress.done, progress.total);
    },
  });
  line.finish(`Learned ${size} tokens: ${path}`);
  return path;
}

interface Totals {
  readonly shards: number;
  readonly documents: number;
  readonly tokens: number;
  readonly bytes: number;
}

function summary(figures: {
  readonly folder: string;
  readonly tokenizer: { readonly name: string; readonly encoder: string };
  readonly train: Totals;
  readonly validation: Totals;
  readonly seconds: number;
}): string {
  const line = (name: string, { shards, documents, tokens, bytes }: Totals): string =>
    `${name}  ${formatCount(documents)} documents, ${formatCount(bytes)} bytes, ${formatCount(tokens)} tokens, ` +
    `${shards} shard${shards === 1 ? '' : 's'}\n`;
  const { folder, tokenizer } = figures;
  return (
    `${line('training  ', figures.train)}${line('validation', figures.validation)}` +
    `Tokenizer ${tokenizer.name} (${tokenizer.encoder}). The shards are in ${folder}; ` +
    `train on them with: data.shards=${folder}\n`
  );
}

function display(): { update(progress: PrepareProgress): void; finish(): void } {
  const megabyte = 1e6;
  let line = createProgress('counting documents, MB');
  let phase: PrepareProgress['phase'] = 'counting';
  let from: { readonly time: number; readonly read: number } | undefined;
  return {
    update(progress) {
      if (progress.phase !== phase) {
        line.finish();
        line = createProgress('prepare, MB');
        phase = progress.phase;
        from = undefined;
      }
      const { read, total, tokens } = progress;
      from ??= { time: performance.now(), read };
      const rate = (read - from.read) / megabyte / Math.max(1e-3, (performance.now() - from.time) / 1000);
      const detail = `${rate.toFixed(1)} MB/s  ${formatCount(tokens)} tokens`;
      // What was read is not yet all done: the last word is the summary's.
      const all = Math.max(1, Math.ceil(total / megabyte));
      line.update(Math.min(all - 1, Math.floor(read / megabyte)), all, detail);
    },
    finish: () => line.finish(),
  };
}
