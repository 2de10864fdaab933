/** Ctrl-C and SIGTERM: the first asks for a stop in good order, the second leaves at once. */

export interface Interruption {
  readonly signal: AbortSignal;
  /** Gives the signals back to Node. */
  release(): void;
}

const signals = ['SIGINT', 'SIGTERM'] as const;

/** `message` tells on the first signal what happens now; `tell` shows it, on standard error by default. */
export function onInterrupt(
  message: string,
  tell: (text: string) => void = (text) => void process.stderr.write(`\n${text}\n`),
): Interruption {
  const controller = new AbortController();
  const handle = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) leave(signal);
    tell(`${message} Once more leaves at once, without saving.`);
    controller.abort();
  };
  for (const name of signals) process.on(name, handle);
  return {
    signal: controller.signal,
    release() {
      for (const name of signals) process.off(name, handle);
    },
  };
}

/** Dies of the signal. Not `process.exit`: that waits for the native call at hand, which is a whole training step. */
function leave(signal: NodeJS.Signals): void {
  for (const name of signals) process.removeAllListeners(name);
  process.kill(process.pid, signal);
}
