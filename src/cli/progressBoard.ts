/** Progress of several things at once: a line for each on a terminal, kept below what is said; plain lines elsewhere. */
import { formatDuration } from '../report/format.ts';

/** Seconds between two lines about the same thing where they stay. */
const plainSeconds = 10;
const frameMilliseconds = 100;
const up = (lines: number): string => (lines > 0 ? `\u001b[${lines}A` : '');
const clear = '\r\u001b[J';

export class ProgressBoard {
  readonly #stream: NodeJS.WriteStream;
  readonly #lines = new Map<string, { readonly begin: number; text: string; shown: number }>();
  #drawn = 0;
  #lastFrame = Number.NEGATIVE_INFINITY;

  /** Writes to standard error by default, so that standard output stays free for results. */
  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  /** `done` of `total` units of the thing called `name`, with further text such as the loss. */
  update(name: string, done: number, total: number, detail = ''): void {
    const now = performance.now();
    const line = this.#lines.get(name) ?? { begin: now, text: '', shown: Number.NEGATIVE_INFINITY };
    this.#lines.set(name, line);
    const elapsed = (now - line.begin) / 1000;
    const left = done > 0 ? (elapsed / done) * (total - done) : Number.NaN;
    line.text = `${name}  ${done}/${total}  ${detail}  ${formatDuration(elapsed)}, ${formatDuration(left)} left`;
    if (this.#stream.isTTY) {
      if (now - this.#lastFrame >= frameMilliseconds || line.shown < 0) this.#draw();
      line.shown = now;
    } else if (now - line.shown >= plainSeconds * 1000) {
      this.#stream.write(`${line.text}\n`);
      line.shown = now;
    }
  }

  /** Takes a line away, and says something that stays. */
  finish(name: string, message?: string): void {
    this.#lines.delete(name);
    if (message !== undefined) this.say(message);
    else this.#draw();
  }

  /** A line that stays, above those that change. */
  say(message: string): void {
    this.#erase();
    this.#stream.write(`${message}\n`);
    this.#draw();
  }

  /** Takes all lines away. */
  close(): void {
    this.#lines.clear();
    this.#erase();
  }

  #erase(): void {
    if (this.#drawn > 0) this.#stream.write(`${up(this.#drawn)}${clear}`);
    this.#drawn = 0;
  }

  #draw(): void {
    if (!this.#stream.isTTY) return;
    const width = (this.#stream.columns ?? 120) - 1;
    const lines = [...this.#lines.values()].map(({ text }) => `${text.slice(0, width)}\n`);
    this.#stream.write(`${up(this.#drawn)}${clear}${lines.join('')}`);
    this.#drawn = lines.length;
    this.#lastFrame = performance.now();
  }
}
