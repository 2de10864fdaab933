#!/usr/bin/env node
/** The `braid` command. Only the file of the command that was asked for is loaded, so that help appears at once. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { reportFailure } from './failure.ts';
import { endWithReader } from './pipes.ts';

interface Entry {
  readonly summary: string;
  load(): Promise<{ command(): Command }>;
}

const commands: Readonly<Record<string, Entry>> = {
  plan: { summary: 'what a model costs, before it runs', load: () => import('./plan.ts') },
  presets: { summary: 'the published configurations, by name', load: () => import('./presets.ts') },
  data: { summary: 'load public texts, check shards', load: () => import('./data.ts') },
  prepare: { summary: 'make token shards of text', load: () => import('./prepare.ts') },
  train: { summary: 'train a model, or resume a run', load: () => import('./train.ts') },
  compare: { summary: 'train several models alike and compare them', load: () => import('./compare.ts') },
  evaluate: {
    summary: 'what a trained model knows: bits per byte, tasks',
    load: () => import('./evaluate.ts'),
  },
  study: { summary: 'run a prepared study within a budget', load: () => import('./study.ts') },
  synthetic: {
    summary: 'train small models on recall, memory, copying and needles',
    load: () => import('./synthetic.ts'),
  },
  generate: { summary: 'continue a text with a trained run', load: () => import('./generate.ts') },
  import: { summary: 'make a run of a Hugging Face folder', load: () => import('./import.ts') },
  export: { summary: 'write a run as a Hugging Face folder', load: () => import('./export.ts') },
  bench: {
    summary: 'speed of models, layers and lanes against measured peaks',
    load: () => import('./bench.ts'),
  },
  doctor: { summary: 'what this machine offers and what Braid chose', load: () => import('./doctor.ts') },
  quickstart: {
    summary: 'compare FlowHN, LLaMA and Mamba on real text',
    load: () => import('./quickstart.ts'),
  },
};

async function main(args: readonly string[]): Promise<void> {
  const program = new Command('braid')
    .description('A workbench for hybrid language models: attention, Mamba and convolutions.')
    .version(version())
    .enablePositionalOptions()
    .showHelpAfterError("'braid --help' lists the commands.")
    .addHelpText(
      'after',
      '\nExample:\n  braid plan flowhn-chunks-135m\n\n`braid COMMAND --help` explains a command.',
    );
  const name = args.find((argument) => !argument.startsWith('-'));
  const wanted = name === undefined ? undefined : name === 'help' ? args[args.indexOf(name) + 1] : name;
  for (const [key, entry] of Object.entries(commands)) {
    const command =
      key === wanted ? (await entry.load()).command() : new Command(key).description(entry.summary);
    pointToHelp(command, key);
    program.addCommand(command);
  }
  await program.parseAsync([...args], { from: 'user' });
}

/** Mistakes in the arguments of a command or of one of its parts end with the help to read. */
function pointToHelp(command: Command, name: string): void {
  command.showHelpAfterError(`'braid ${name} --help' explains the command.`);
  for (const part of command.commands) pointToHelp(part, `${name} ${part.name()}`);
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

endWithReader();
main(process.argv.slice(2)).catch((error: unknown) => {
  process.exitCode = reportFailure(error);
});
