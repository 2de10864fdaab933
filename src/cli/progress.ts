/** A progress line: rewritten in place on a terminal, a plain line now and then elsewhere. */
import { formatDuration } from '../report/format.ts';

const plainSeconds = 10;

export interface Progress {
  /** `done` of `total` units, with further text such as the loss. */
  update(done: number, total: number, detail?: string): void;
  /** Ends the line. */
  finish(message?: string): void;
}

/** Writes to `stream` (standard error by default), so that standard output stays free for results. */
export function createProgress(title: string, stream: NodeJS.WriteStream = process.stderr): Progress {
  const begin = performance.now();
  const live = stream.isTTY === true;
  let lastShown = Number.NEGATIVE_INFINITY;
  let open = false;
  return {
    update(done, total, detail = '') {
      const now = performance.now();
      const pause = live ? 100 : plainSeconds * 1000;
      if (now - lastShown < pause && done < total) return;
      lastShown = now;
      const elapsed = (now - begin) / 1000;
      const left = done > 0 ? (elapsed / done) * (total - done) : Number.NaN;
      const line = `${title}  ${done}/${total}  ${detail}  ${formatDuration(elapsed)}, ${formatDuration(left)} left`;
      if (live) {
        stream.write(`\r\u001b[K${line.slice(0, (stream.columns ?? 120) - 1)}`);
        open = true;
      } else {
        stream.write(`${line}\n`);
      }
    },
    finish(message) {
      if (live && open) stream.write('\r\u001b[K');
      open = false;
      if (message) stream.write(`${message}\n`);
    },
  };
}
