/** `braid bench`: training speed and MFU of models, against the peak measured in the same call. */
import { Command } from 'commander';
import { betterPeak, measurePeak } from '../bench/peak.ts';
import type { Peak } from '../bench/results.ts';
import { openExecutor } from '../bench/session.ts';
import { measureTraining, type TrainingSpeed } from '../bench/train.ts';
import { formatBytes, formatCount, formatPercent } from '../report/format.ts';
import { textTable } from '../report/table.ts';
import { freeze } from '../train/index.ts';
import { count } from './arguments.ts';
import { createProgress } from './progress.ts';
import { readSettings } from './settings.ts';

interface Options {
  readonly steps: number;
  readonly set: string[];
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('bench')
    .description(
      'Measure training: tokens per second and MFU of the median step, optimizer included, on random tokens.',
    )
    .argument('<models...>', 'presets or YAML files')
    .option('--steps <n>', 'measured steps, after two that are not counted', count, 5)
    .option('--set <overrides...>', 'values of the configuration, as path.to.key=value', [])
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  braid bench flowhn-none-135m llama-135m --set train.batch=2 train.length=1024 train.threads=2',
    )
    .action(run);
}

async function run(models: string[], options: Options): Promise<void> {
  const { steps } = options;
  const configs = models.map((source) => readSettings(source, { overrides: options.set, steps: 1000 }));
  const { executor, machine } = openExecutor(configs[0].train);
  const frozen = configs.map((config) => freeze(config, machine));
  const { precision } = frozen[0].train;
  const peakOptions = { precision: precision === 'bfloat16' ? 'bfloat16' : 'float32' } as const;
  const before = await measurePeak(executor, peakOptions);
  const measured: TrainingSpeed[] = [];
  for (const { model, train } of frozen) {
    const progress = createProgress(model.name ?? 'model');
    const onStep = (done: number): void => progress.update(done, steps);
    measured.push(await measureTraining({ model, train, executor, steps, onStep }));
    progress.finish();
  }
  const peak = betterPeak(before, await measurePeak(executor, peakOptions));
  const results = measured.map((speed) => withPeak(speed, peak));
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ peak, results }, null, 2)}\n`);
    return;
  }
  print(results);
  process.stdout.write(
    `\nPeak: ${formatCount(peak.flopsPerSecond)}FLOP/s, the best ${peak.precision} matrix product measured in this call, ` +
      `before and after (${peak.source}).\nMFU counts model FLOPs (3 × forward, head included, causal scores); hardware utilisation ` +
      'counts what the kernels executed. Steps: median and quarter points.\n',
  );
}

interface Result extends TrainingSpeed {
  /** Model FLOPs of the median step over the peak. */
  readonly mfu: number;
  /** FLOPs that the kernels executed in the median step, recomputation included, over the peak. */
  readonly hardwareUtilisation: number;
}

function withPeak(speed: TrainingSpeed, peak: Peak): Result {
  const possible = speed.stepSeconds.median * peak.flopsPerSecond;
  const { model, executed } = speed.flopsPerStep;
  return { ...speed, mfu: model / possible, hardwareUtilisation: executed / possible };
}

function print(results: readonly Result[]): void {
  const align = 'right' as const;
  const columns = [
    { title: 'model' },
    { title: 'batch × length', align },
    { title: 'precision' },
    { title: 'step', align },
    { title: 'spread', align },
    { title: 'tokens/s', align },
    { title: 'MFU', align },
    { title: 'hardware', align },
    { title: 'balance', align },
    { title: 'planned', align },
    { title: 'peak memory', align },
  ];
  const rows = results.map((result) => [
    result.name,
    `${result.batch} × ${result.length}`,
    result.precision,
    `${result.stepSeconds.median.toFixed(3)} s`,
    `${result.stepSeconds.low.toFixed(3)}–${result.stepSeconds.high.toFixed(3)}`,
    formatCount(result.tokensPerSecond),
    formatPercent(result.mfu),
    formatPercent(result.hardwareUtilisation),
    result.laneBalance === null ? 'off' : result.laneBalance.toFixed(2),
    formatBytes(result.plannedMemory.total),
    result.peakMemoryBytes === null ? 'unknown' : formatBytes(result.peakMemoryBytes),
  ]);
  process.stdout.write(`${textTable(columns, rows)}\n`);
}
