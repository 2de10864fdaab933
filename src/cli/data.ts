/** `braid data`: public texts by name, and the state of shards. */
import { join } from 'node:path';
import { Command } from 'commander';
import {
  download,
  findPublicSet,
  finishedManifest,
  hubEndpoint,
  publicSets,
  verifyShards,
} from '../data/index.ts';
import { formatBytes } from '../report/format.ts';
import { createProgress } from './progress.ts';
import { onInterrupt } from './signals.ts';

interface GetOptions {
  readonly out?: string;
  readonly endpoint?: string;
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('data')
    .description('Load public texts by name, and check token shards.')
    .addCommand(listCommand())
    .addCommand(getCommand())
    .addCommand(verifyCommand())
    .addHelpText(
      'after',
      '\nExamples:\n  braid data list\n  braid data get tinystories\n' +
        '  braid prepare data/tinystories --out shards\n  braid data verify shards',
    );
}

function listCommand(): Command {
  return new Command('list')
    .description('The public texts that have names here.')
    .option('--json', 'print them as JSON')
    .addHelpText('after', '\nExample:\n  braid data list')
    .action(({ json }: { json?: boolean }) => {
      if (json) process.stdout.write(`${JSON.stringify(publicSets, null, 2)}\n`);
      else for (const { name, summary } of publicSets) process.stdout.write(`${name.padEnd(18)}${summary}\n`);
    });
}

function getCommand(): Command {
  return new Command('get')
    .description(
      'Load a public text from the Hugging Face hub. An interrupted load goes on with the same command.',
    )
    .argument('<name>', "one of 'braid data list'")
    .option('-o, --out <folder>', 'where the files go (default: data/<name>)')
    .option(
      '--endpoint <url>',
      `another server with the same paths (default: HF_ENDPOINT, or ${hubEndpoint})`,
    )
    .option('--json', 'print what was loaded as JSON')
    .addHelpText('after', '\nExample:\n  braid data get wikitext-2 --out wikitext')
    .action(async (name: string, { out, endpoint, json }: GetOptions) => {
      const set = findPublicSet(name);
      const interruption = onInterrupt('Stopping; what was loaded is kept.');
      const progress = createProgress(`${name}, MB`);
      try {
        const folder = out ?? join('data', name);
        const result = await download({
          set,
          folder,
          endpoint: endpoint ?? process.env.HF_ENDPOINT ?? hubEndpoint,
          signal: interruption.signal,
          onProgress: (done, total, file) => progress.update(megabytes(done), megabytes(total), file),
        });
        progress.finish();
        if (json) process.stdout.write(`${JSON.stringify({ name, folder, ...result }, null, 2)}\n`);
        else {
          process.stdout.write(
            `${result.files.length} files, ${formatBytes(result.bytes)}, of ${set.repository} at ` +
              `${result.commit.slice(0, 12)} in ${folder}; ${formatBytes(result.loaded)} were loaded now.\n`,
          );
        }
      } finally {
        progress.finish();
        interruption.release();
      }
    });
}

function verifyCommand(): Command {
  return new Command('verify')
    .description('Compare every shard of a folder with its checksum.')
    .argument('<folder>', "the folder that 'braid prepare' wrote to")
    .addHelpText('after', '\nExample:\n  braid data verify shards')
    .action((folder: string) => {
      const manifest = finishedManifest(folder);
      const progress = createProgress('verify, MB');
      try {
        verifyShards(folder, manifest, (done, total) => progress.update(megabytes(done), megabytes(total)));
      } finally {
        progress.finish();
      }
      const { train, validation } = manifest.shards;
      process.stdout.write(
        `All ${train.length + validation.length} shards in ${folder} are as they were made.\n`,
      );
    });
}

function megabytes(bytes: number): number {
  return Math.ceil(bytes / 1e6);
}
