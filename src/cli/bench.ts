/** `braid bench`: what models, generation, operations and lanes cost on this machine, against its measured peaks. */
import { Command } from 'commander';
import { compareCommand } from './bench/compare.ts';
import { generateCommand } from './bench/generate.ts';
import { lanesCommand } from './bench/lanes.ts';
import { operatorsCommand } from './bench/operators.ts';
import { peersCommand } from './bench/peers.ts';
import { scalingCommand } from './bench/scaling.ts';
import { trainCommand } from './bench/train.ts';

export function command(): Command {
  return new Command('bench')
    .description('Measure speed against the peaks of this machine, which are measured in the same call.')
    .addCommand(trainCommand(), { isDefault: true })
    .addCommand(generateCommand())
    .addCommand(operatorsCommand())
    .addCommand(lanesCommand())
    .addCommand(scalingCommand())
    .addCommand(peersCommand())
    .addCommand(compareCommand())
    .addHelpText(
      'after',
      '\nExamples:\n  braid bench train flowhn-none-135m llama-135m --set train.batch=2 train.length=1024\n' +
        "  braid bench compare before.json after.json\n\n'braid bench MODEL' is short for 'braid bench train MODEL'.",
    );
}
