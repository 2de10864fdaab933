/** `braid bench lanes`: branches at the same time against branches one after the other. */
import { Command } from 'commander';
import { benchLanes, type LaneMeasurement } from '../../bench/lanes.ts';
import { describeSubject } from '../../bench/measurement.ts';
import { openExecutor } from '../../bench/session.ts';
import type { TrainingSubject } from '../../bench/train.ts';
import { laneColumns, laneRows, laneVerdict } from '../../report/laneTable.ts';
import { textTable } from '../../report/table.ts';
import { settle } from '../../train/index.ts';
import { count, counts } from '../arguments.ts';
import { createProgress } from '../progress.ts';
import { readSettings } from '../settings.ts';
import {
  addCommonOptions,
  type CommonOptions,
  effortOf,
  makeReport,
  publish,
  tell,
  withPeer,
} from './options.ts';

interface Options extends CommonOptions {
  readonly lengths?: readonly number[];
  readonly steps: number;
}

export function lanesCommand(): Command {
  const command = new Command('lanes')
    .description(
      'Lanes: busy and idle time of each branch, balance, and the time of the same steps without lanes.',
    )
    .argument('<models...>', 'presets or YAML files with blocks of branches')
    .option('--lengths <n,...>', 'tokens of a row (default: that of the configuration)', counts)
    .option('--steps <n>', 'measured steps of each over all rounds; one more goes before in each', count, 6);
  return addCommonOptions(command)
    .addHelpText(
      'after',
      '\nExample:\n  braid bench lanes flowhn-fac-135m --lengths 512,1024,4096 --set model.routing.balance=time train.batch=1',
    )
    .action(run);
}

async function run(models: string[], options: Options): Promise<void> {
  const sources = models.map((source) => readSettings(source, { overrides: options.set, steps: 1000 }));
  const { executor, machine } = openExecutor(sources[0].train);
  const subjects: TrainingSubject[] = [];
  for (const [index, source] of sources.entries()) {
    for (const length of options.lengths ?? [source.train.length]) {
      const config = { ...source, train: { ...source.train, length, lanes: true } };
      const { model, train } = await settle(config, { executor, machine, tell });
      const subject = { model: model.name ?? models[index], batch: train.batch, length };
      subjects.push({ subject, model, train, executor });
    }
  }
  const progress = createProgress('bench lanes');
  const total = 2 * options.steps * subjects.length;
  let done = 0;
  const result = await withPeer(options, executor, (peer) =>
    benchLanes({
      subjects,
      steps: options.steps,
      rounds: Math.min(options.rounds, options.steps),
      effort: effortOf(options),
      peer,
      onStep: () => {
        done++;
        progress.update(done, total);
      },
    }),
  );
  progress.finish();
  await publish({ ...makeReport('lanes', result, executor), lanes: result.lanes }, options);
  if (!options.json) for (const one of result.lanes) process.stdout.write(describe(one));
}

function describe(found: LaneMeasurement): string {
  const table = found.groups.length > 0 ? `${textTable(laneColumns, laneRows(found))}\n` : '';
  return `\n${describeSubject(found.subject)}\n${table}${laneVerdict(found)}\n`;
}
