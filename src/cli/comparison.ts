/** What `compare` and `study` share: progress lines of a comparison, and its files. */

import { join } from 'node:path';
import { threadCount } from '../bench/threadCount.ts';
import { writeFileAtomically } from '../models/index.ts';
import { formatCount, formatDuration } from '../report/format.ts';
import type { ComparisonOptions, ComparisonResult, Forecast } from '../study/index.ts';
import { ProgressBoard } from './progressBoard.ts';
import { onInterrupt } from './signals.ts';

type Hooks = Omit<ComparisonOptions, 'name' | 'folder' | 'measuring' | 'jobs'>;

/** Runs a comparison with its forecast, a line of progress per cell, and Ctrl-C as a stop in good order. */
export async function reportComparison(
  title: string,
  run: (hooks: Hooks) => Promise<ComparisonResult>,
): Promise<ComparisonResult> {
  const board = new ProgressBoard();
  const interruption = onInterrupt('Stopping after this step, and saving.', (text) => board.say(text));
  const speeds = 'measuring step times';
  let runs = 0;
  let done = 0;
  try {
    return await run({
      signal: interruption.signal,
      warn: (message) => board.say(message),
      onSpeed: (measured, total) => board.update(speeds, measured, total),
      onForecast: (forecast) => {
        runs = forecast.runs;
        board.finish(speeds, `${title}: ${describe(forecast)}`);
      },
      onStep: ({ folder }, { step, loss, tokensPerSecond }, steps) =>
        board.update(
          folder,
          step,
          steps,
          `loss ${loss.toFixed(3)}  ${formatCount(tokensPerSecond)} tokens/s`,
        ),
      onCell: ({ folder }, { trainingLoss }) => {
        done++;
        board.finish(folder, `${done}/${runs}  ${folder}: training loss ${trainingLoss.toFixed(3)}`);
      },
    });
  } finally {
    board.close();
    interruption.release();
  }
}

function describe({ rows, runs, jobs, threads, seconds }: Forecast): string {
  const time = seconds === undefined ? '' : `, about ${formatDuration(seconds)} of training`;
  const at = jobs > 1 ? `, ${jobs} at a time with ${threadCount(threads)} each` : '';
  const steps = rows.map((row) => `${row.name} ${row.steps} steps (${formatCount(row.tokens)} tokens)`);
  return `${runs} ${runs === 1 ? 'run' : 'runs'}${at}${time}\n  ${steps.join('\n  ')}`;
}

/** Writes files of a folder, each whole or not at all. */
export async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await writeFileAtomically(join(folder, name), (file) => file.write(Buffer.from(content)));
  }
}
