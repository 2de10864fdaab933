/** How the command line reports what went wrong: one readable message, no stack trace unless asked for. */
import { BraidError } from '../graph/errors.ts';

export const INTERRUPTED = 130;

/** Prints the error and returns the exit code that goes with it. */
export function reportFailure(error: unknown): number {
  if (process.env.BRAID_DEBUG === '1') {
    console.error(error);
  } else if (error instanceof BraidError) {
    process.stderr.write(`braid: ${error.message}\n`);
  } else {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(
      `braid: unexpected error: ${message}\nSet BRAID_DEBUG=1 to see where it came from.\n`,
    );
  }
  return error instanceof BraidError && error.code === 'interrupted' ? INTERRUPTED : 1;
}
