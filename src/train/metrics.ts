/**
 * The figures of a run, one JSON object per line. Lines are only ever appended; when a run is resumed, what it wrote past its
 * checkpoint (and a line that a crash cut short) goes first, so that every step stands in the file once.
 */
import { appendFileSync, readFileSync, truncateSync } from 'node:fs';
import { fileError } from '../models/atomicFile.ts';

export interface StepMetrics {
  readonly step: number;
  /** Tokens seen so far. */
  readonly tokens: number;
  /** Model FLOPs spent so far. */
  readonly flops: number;
  /** Mean loss per token of the step, in nats. */
  readonly loss: number;
  readonly gradientNorm: number;
  readonly learningRate: number;
  readonly tokensPerSecond: number;
  /** Seconds of training so far, validation and checkpoints not counted. */
  readonly seconds: number;
  /** How evenly the lanes were loaded; absent where none ran. */
  readonly laneBalance?: number;
  /** Validation after this step, where there was one. */
  readonly validation?: { readonly loss: number; readonly bitsPerByte: number };
}

export class MetricsFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  append(metrics: StepMetrics): void {
    try {
      appendFileSync(this.path, `${JSON.stringify(metrics)}\n`);
    } catch (error) {
      throw fileError('write', this.path, error);
    }
  }

  /** All whole lines. */
  read(): readonly StepMetrics[] {
    return this.#lines().map(({ metrics }) => metrics);
  }

  /** Forgets everything after a step: the run goes on from its checkpoint. */
  rewind(step: number): void {
    const kept = this.#lines().filter(({ metrics }) => metrics.step <= step);
    try {
      truncateSync(this.path, kept.at(-1)?.end ?? 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fileError('write', this.path, error);
    }
  }

  /** The whole lines and where each ends, in bytes. Reading stops at the first line that is damaged. */
  #lines(): { metrics: StepMetrics; end: number }[] {
    let text: string;
    try {
      text = readFileSync(this.path, 'latin1');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw fileError('read', this.path, error);
    }
    const lines: { metrics: StepMetrics; end: number }[] = [];
    for (let at = 0; at < text.length; ) {
      const end = text.indexOf('\n', at) + 1;
      if (end === 0) break;
      try {
        lines.push({ metrics: JSON.parse(text.slice(at, end)) as StepMetrics, end });
      } catch {
        break;
      }
      at = end;
    }
    return lines;
  }
}
