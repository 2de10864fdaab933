/** Ctrl-C and SIGTERM: the first asks for a stop in good order, the second leaves at once. */
import { INTERRUPTED } from './failure.ts';

export interface Interruption {
  readonly signal: AbortSignal;
  /** Gives the signals back to Node. */
  release(): void;
}

/** `message` tells on the first signal what happens now; `tell` shows it, on standard error by default. */
export function onInterrupt(
  message: string,
  tell: (text: string) => void = (text) => void process.stderr.write(`\n${text}\n`),
): Interruption {
  const controller = new AbortController();
  const handle = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    tell(`${message} Once more leaves at once, without saving.`);
    controller.abort();
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const name of signals) process.on(name, handle);
  return {
    signal: controller.signal,
    release() {
      for (const name of signals) process.off(name, handle);
    },
  };
}
