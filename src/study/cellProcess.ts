/** A process that trains cells of a comparison, one after the other, as it is told to. */
import { openExecutor } from '../bench/session.ts';
import { measureTraining } from '../bench/train.ts';
import { loadText, type Text } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import type { Executor } from '../runtime/index.ts';
import type { DataConfig, FrozenTrainConfig } from '../train/index.ts';
import { runCell } from './cell.ts';
import type { CellReply, CellRequest } from './cellMessages.ts';

type Work = Exclude<CellRequest, { kind: 'stop' }>;

// Ctrl-C reaches every process of a terminal. The one that gives the orders decides what happens then; without it there
// is nothing left to do, and `process.exit` would wait for the step at hand.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

let stop = new AbortController();
process.on('message', (request: CellRequest) => {
  if (request.kind === 'stop') stop.abort();
  else void answer(request);
});

async function answer(request: Work): Promise<void> {
  stop = new AbortController();
  try {
    say(await work(request));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    say({ kind: 'failure', message, ...(error instanceof BraidError ? { code: error.code } : {}) });
  }
}

async function work(request: Work): Promise<CellReply> {
  if (request.kind === 'time') {
    const { model, train, steps } = request;
    const { seconds } = await measureTraining({ model, train, executor: executorFor(train), steps });
    return { kind: 'time', seconds };
  }
  const { cell, folder, data, measuring } = request;
  const result = await runCell(cell, folder, executorFor(cell.config.train), textOf(data), measuring, {
    signal: stop.signal,
    warn: (message) => say({ kind: 'warning', message }),
    onStep: (metrics, steps) => say({ kind: 'step', metrics, steps }),
  });
  return { kind: 'cell', result };
}

function say(reply: CellReply): void {
  if (process.connected) process.send?.(reply);
}

let opened: { readonly key: string; readonly executor: Executor } | undefined;

/** All cells of a comparison ask for the same one. */
function executorFor({ executor, threads, precision }: FrozenTrainConfig): Executor {
  const key = `${executor} ${threads} ${precision}`;
  if (opened?.key !== key)
    opened = { key, executor: openExecutor({ executor, threads, precision }).executor };
  return opened.executor;
}

let loaded: { readonly key: string; readonly text: Text } | undefined;

function textOf(data: DataConfig): Text {
  const key = JSON.stringify(data);
  if (loaded?.key !== key) loaded = { key, text: loadText(data) };
  return loaded.text;
}
