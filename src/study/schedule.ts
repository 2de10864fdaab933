/** Tasks on several places at once: begun in their order, the next one as soon as a place is free. */

/**
 * Runs tasks, at most `places` at a time; results come in the order of the tasks. A failure starts no further task and
 * calls `stop`, by which those at work are to end early; it is thrown when all of them have ended.
 */
export async function inOrder<Result>(
  tasks: readonly (() => Promise<Result>)[],
  places: number,
  stop: () => void,
): Promise<Result[]> {
  const results: Result[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < tasks.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await tasks[index]();
      } catch (error) {
        if (failures.push(error) === 1) stop();
      }
    }
  };
  await Promise.all(Array.from({ length: places }, work));
  if (failures.length > 0) throw failures[0];
  return results;
}

/** How long `inOrder` takes for tasks of these durations. */
export function makespan(durations: readonly number[], places: number): number {
  const busy = Array.from({ length: places }, () => 0);
  for (const duration of durations) {
    const first = busy.indexOf(Math.min(...busy));
    busy[first] += duration;
  }
  return Math.max(...busy);
}
