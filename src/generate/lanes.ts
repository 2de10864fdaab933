/** Whether a model's tokens come faster in lanes on this machine: measured with its own weights, before it generates. */
import { pieceProgram } from './program.ts';
import type { GeneratingModel, Session } from './session.ts';
import { createSession } from './session.ts';

export interface ChosenLanes {
  readonly lanes: boolean;
  /** Median seconds of a token, one branch after the other and in lanes; 0 where there are no lanes to run. */
  readonly off: number;
  readonly on: number;
}

const warmup = 4;
const measured = 15;

/** Feeds tokens to a session in lanes and to one without, in turn. */
export async function chooseLanes(setup: GeneratingModel): Promise<ChosenLanes> {
  const { model, precision, threads } = setup;
  const { program } = pieceProgram(model, { length: 1, start: 0, precision, threads, lanes: true });
  if (!program.schedule.some((item) => 'group' in item)) return { lanes: false, off: 0, on: 0 };
  const sides = [true, false].map((lanes) => ({
    session: createSession({ ...setup, lanes }),
    seconds: [] as number[],
  }));
  try {
    for (let token = 0; token < warmup + measured; token++) {
      for (const { session, seconds } of sides) {
        const took = await secondsOf(session);
        if (token >= warmup) seconds.push(took);
      }
    }
  } finally {
    for (const { session } of sides) session.dispose();
  }
  const [on, off] = sides.map(({ seconds }) => seconds.sort((a, b) => a - b)[(measured - 1) / 2]);
  return { lanes: on < off, off, on };
}

async function secondsOf(session: Session): Promise<number> {
  const begin = performance.now();
  await session.feed([0]);
  return (performance.now() - begin) / 1000;
}
