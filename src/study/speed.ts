/** Step times of all models before they train, measured in turns, and kept so that a comparison that goes on repeats itself. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { measureTraining } from '../bench/train.ts';
import { BraidError } from '../graph/index.ts';
import { parseJson, readText, writeFileAtomically } from '../models/index.ts';
import type { Executor } from '../runtime/index.ts';
import type { Design } from './design.ts';
import { rowCost } from './design.ts';

export const speedFile = 'speed.json';

export interface SpeedEffort {
  readonly rounds: number;
  /** In each round; two more go before them and are not counted. */
  readonly steps: number;
}

const efforts: readonly SpeedEffort[] = [
  { rounds: 3, steps: 3 },
  { rounds: 1, steps: 2 },
];
/** Of a budget, for measuring step times. */
const worthShare = 0.1;

/** Seconds that measuring takes where a step of each row takes so long. */
export function speedSeconds(ofRow: readonly number[], { rounds, steps }: SpeedEffort): number {
  return rounds * (2 + steps) * ofRow.reduce((sum, one) => sum + one, 0);
}

/** The thorough one where a tenth of the budget allows it, else the quick one. */
export function speedEffort(ofRow: readonly number[], budget: number): SpeedEffort {
  const [thorough, quick] = efforts;
  return speedSeconds(ofRow, thorough) <= worthShare * budget ? thorough : quick;
}

/** Whether all step times are known from an earlier call. */
export function knowsSpeeds({ rows }: Design, folder: string): boolean {
  const known = read(join(folder, speedFile));
  return rows.every(({ name }) => known[name] !== undefined);
}

/** About the seconds of a step of each row: those of the cheapest, measured once, in proportion to the model FLOPs. */
export async function roughSpeeds(design: Design, executor: Executor): Promise<number[]> {
  const { rows, train } = design;
  const flops = rows.map((row) => rowCost(row, train).flops);
  const least = Math.min(...flops);
  const { model } = rows[flops.indexOf(least)];
  const { stepSeconds } = await measureTraining({ model, train, executor, steps: 1 });
  return flops.map((own) => (stepSeconds.median * own) / least);
}

export interface SpeedOptions {
  readonly effort?: SpeedEffort;
  readonly signal?: AbortSignal | undefined;
  readonly onRow?: ((done: number, total: number) => void) | undefined;
}

/** Between two measurements of step times, of which nothing is kept. */
export function stopWhen(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new BraidError(
    'interrupted',
    'Stopped while step times were measured. The same command begins anew.',
  );
}

/**
 * Seconds of one optimizer step of each row, alone on the machine: the median of each round. Aborted, it throws
 * `BraidError('interrupted')`, and nothing is kept.
 */
export async function measureSpeeds(
  { rows, train }: Design,
  folder: string,
  executor: Executor,
  { effort: { rounds, steps } = efforts[0], signal, onRow }: SpeedOptions = {},
): Promise<(readonly number[])[]> {
  const path = join(folder, speedFile);
  const known = read(path);
  const missing = rows.filter(({ name }) => known[name] === undefined);
  const measured = new Map<string, number[]>(missing.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [index, { name, model }] of missing.entries()) {
      stopWhen(signal);
      const { stepSeconds } = await measureTraining({ model, train, executor, steps });
      measured.get(name)?.push(stepSeconds.median);
      onRow?.(round * missing.length + index + 1, rounds * missing.length);
    }
  }
  const all = { ...known, ...Object.fromEntries(measured) };
  if (missing.length > 0) {
    const text = `${JSON.stringify(all, null, 2)}\n`;
    await writeFileAtomically(path, (handle) => handle.write(Buffer.from(text)));
  }
  return rows.map(({ name }) => [all[name]].flat());
}

/** By row; a single number is the median of all rounds, as it was kept once. */
type Speeds = Readonly<Record<string, number | readonly number[]>>;

function read(path: string): Speeds {
  if (!existsSync(path)) return {};
  const message = `'${path}' is damaged. Remove it: the step times are measured again.`;
  return parseJson(readText(path), 'file', message) as Speeds;
}
