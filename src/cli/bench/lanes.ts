/** `braid bench lanes`: branches at the same time against branches one after the other. */
import { Command } from 'commander';
import {
  benchLanes,
  decodingLanes,
  type LaneMeasurement,
  type LaneSubject,
  trainingLanes,
} from '../../bench/lanes.ts';
import { describeSubject } from '../../bench/measurement.ts';
import { laneColumns, laneRows, laneVerdict } from '../../report/laneTable.ts';
import { textTable } from '../../report/table.ts';
import { freeze, settle } from '../../train/index.ts';
import { count, counts } from '../arguments.ts';
import { addCommonOptions, type CommonOptions, measure, openModels, tell } from './options.ts';

interface Options extends CommonOptions {
  readonly lengths?: readonly number[];
  readonly positions?: readonly number[];
  readonly steps?: number;
}

export function lanesCommand(): Command {
  const command = new Command('lanes')
    .description(
      'Lanes: busy and idle time of each branch, balance, and the time of the same steps without lanes.',
    )
    .argument('<models...>', 'presets or YAML files with blocks of branches')
    .option('--lengths <n,...>', 'tokens of a row (default: that of the configuration)', counts)
    .option('--positions <n,...>', 'generate one token at these positions instead of training', counts)
    .option('--steps <n>', 'measured steps of each over all rounds (default: 6, or 60 of generation)', count);
  return addCommonOptions(command)
    .addHelpText(
      'after',
      '\nExample:\n  braid bench lanes flowhn-fac-135m --lengths 512,1024,4096 --set model.routing.balance=time train.batch=1' +
        '\n  braid bench lanes flowhn-none-nano --positions 128,1024',
    )
    .action(run);
}

async function run(models: string[], options: Options): Promise<void> {
  const { configs, executor, machine } = openModels(models, options);
  const subjects: LaneSubject[] = [];
  for (const [index, source] of configs.entries()) {
    for (const length of options.positions ? [] : (options.lengths ?? [source.train.length])) {
      const config = { ...source, train: { ...source.train, length, lanes: true } };
      const { model, train } = await settle(config, { executor, machine, tell });
      const subject = { model: model.name ?? models[index], batch: train.batch, length };
      subjects.push(trainingLanes({ subject, model, train, executor }));
    }
    for (const position of options.positions ?? []) {
      const { model, train } = freeze(source, { ...machine, lanes: true });
      const subject = { model: model.name ?? models[index], what: 'token', position };
      const step = { subject, model, precision: train.precision, batch: 1, tokens: 1, position };
      subjects.push(decodingLanes(step, executor));
    }
  }
  const steps = options.steps ?? (options.positions ? 60 : 6);
  const total = 2 * steps * subjects.length;
  const { lanes } = await measure(
    { kind: 'lanes', options, executor, samples: steps, total },
    ({ onDone, ...around }) => benchLanes({ ...around, subjects, steps, onStep: onDone }),
  );
  if (!options.json) for (const one of lanes) process.stdout.write(describe(one));
}

function describe(found: LaneMeasurement): string {
  const table = found.groups.length > 0 ? `${textTable(laneColumns, laneRows(found))}\n` : '';
  return `\n${describeSubject(found.subject)}\n${table}${laneVerdict(found)}\n`;
}
