/** What `compare` and `study` share: progress lines of a comparison, and its files. */
import { join } from 'node:path';
import { writeFileAtomically } from '../models/index.ts';
import { formatCount, formatDuration } from '../report/format.ts';
import type { ComparisonOptions, ComparisonResult, Forecast } from '../study/index.ts';
import { createProgress, type Progress } from './progress.ts';
import { onInterrupt } from './signals.ts';

type Hooks = Omit<ComparisonOptions, 'name' | 'folder' | 'measuring'>;

/** Runs a comparison with its forecast, a line of progress per cell, and Ctrl-C as a stop in good order. */
export async function reportComparison(
  title: string,
  run: (hooks: Hooks) => Promise<ComparisonResult>,
): Promise<ComparisonResult> {
  const interruption = onInterrupt('Stopping after this step, and saving.');
  const lines = new Map<string, Progress>();
  const line = (name: string): Progress => {
    const known = lines.get(name) ?? createProgress(name);
    lines.set(name, known);
    return known;
  };
  let runs = 0;
  let done = 0;
  try {
    return await run({
      signal: interruption.signal,
      warn: (message) => process.stderr.write(`${message}\n`),
      onSpeed: (measured, total) => line('measuring step times').update(measured, total),
      onForecast: (forecast) => {
        lines.get('measuring step times')?.finish();
        runs = forecast.runs;
        process.stderr.write(`${title}: ${describe(forecast)}\n`);
      },
      onStep: ({ folder }, { step, loss, tokensPerSecond }, steps) =>
        line(folder).update(step, steps, `loss ${loss.toFixed(3)}  ${formatCount(tokensPerSecond)} tokens/s`),
      onCell: ({ folder }, { trainingLoss }) => {
        done++;
        line(folder).finish(`${done}/${runs}  ${folder}: training loss ${trainingLoss.toFixed(3)}`);
      },
    });
  } finally {
    for (const one of lines.values()) one.finish();
    interruption.release();
  }
}

function describe({ rows, runs, seconds }: Forecast): string {
  const time = seconds === undefined ? '' : `, about ${formatDuration(seconds)} of training`;
  const steps = rows.map((row) => `${row.name} ${row.steps} steps (${formatCount(row.tokens)} tokens)`);
  return `${runs} runs${time}\n  ${steps.join('\n  ')}`;
}

/** Writes files of a folder, each whole or not at all. */
export async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await writeFileAtomically(join(folder, name), (file) => file.write(Buffer.from(content)));
  }
}
