/** Step times of all models before they train, measured in turns, and kept so that a comparison that goes on repeats itself. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { measureTraining } from '../bench/train.ts';
import { BraidError } from '../graph/index.ts';
import { writeFileAtomically } from '../models/index.ts';
import type { Executor } from '../runtime/index.ts';
import type { Design } from './design.ts';

export const speedFile = 'speed.json';
const rounds = 3;
const stepsInRound = 3;

/** Seconds of one optimizer step of each row, alone on the machine: the median of each round. */
export async function measureSpeeds(
  { rows, train }: Design,
  folder: string,
  executor: Executor,
  onRow?: (done: number, total: number) => void,
): Promise<(readonly number[])[]> {
  const path = join(folder, speedFile);
  const known = read(path);
  const missing = rows.filter(({ name }) => known[name] === undefined);
  const measured = new Map<string, number[]>(missing.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [index, { name, model }] of missing.entries()) {
      const { stepSeconds } = await measureTraining({ model, train, executor, steps: stepsInRound });
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
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Speeds;
  } catch (cause) {
    throw new BraidError('file', `'${path}' is damaged. Remove it: the step times are measured again.`, {
      cause,
    });
  }
}
