/** Who trains the cells of a comparison: this process, one cell after the other, or several processes at the same time. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { measureTraining } from '../bench/train.ts';
import type { Text } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import type { ModelConfig } from '../models/index.ts';
import type { Executor } from '../runtime/index.ts';
import type { DataConfig, FrozenTrainConfig } from '../train/index.ts';
import type { CellHooks, CellResult, Measuring } from './cell.ts';
import { runCell } from './cell.ts';
import type { CellReply, CellRequest } from './cellMessages.ts';
import type { Cell } from './design.ts';

export interface CellJob {
  readonly cell: Cell;
  readonly folder: string;
  readonly data: DataConfig;
  readonly measuring: Measuring;
}

export interface Crew {
  /** Cells that can be trained at the same time. */
  readonly places: number;
  /** Trains and measures a cell in a free place. */
  run(job: CellJob, hooks: CellHooks): Promise<CellResult>;
  /** Seconds of so many training steps, done in every place at the same time. */
  time(model: ModelConfig, train: FrozenTrainConfig, steps: number): Promise<number[]>;
  close(): Promise<void>;
}

/** Everything in this process. */
export function soloCrew(executor: Executor, text: Text): Crew {
  return {
    places: 1,
    run: ({ cell, folder, measuring }, hooks) => runCell(cell, folder, executor, text, measuring, hooks),
    time: async (model, train, steps) => [
      ...(await measureTraining({ model, train, executor, steps })).seconds,
    ],
    close: async () => undefined,
  };
}

/** A process for each place. Each reads the text for itself, and has its own executor and its own memory. */
export function openCrew(places: number): Crew {
  const processes = Array.from({ length: places }, () => new CellProcess());
  return {
    places,
    async run(job, hooks) {
      const free = processes.find(({ busy }) => !busy);
      if (!free) throw new Error(`All ${places} places are taken.`);
      const reply = await free.ask({ kind: 'cell', ...job }, job.cell.folder, hooks);
      if (reply.kind !== 'cell') throw new Error(`A cell was asked for, and '${reply.kind}' came.`);
      return reply.result;
    },
    async time(model, train, steps) {
      const replies = await Promise.all(
        processes.map((one) => one.ask({ kind: 'time', model, train, steps }, 'step times')),
      );
      return replies.flatMap((reply) => (reply.kind === 'time' ? reply.seconds : []));
    },
    async close() {
      await Promise.all(processes.map((one) => one.close()));
    },
  };
}

type Answer = Extract<CellReply, { kind: 'cell' | 'time' }>;

class CellProcess {
  readonly #child: ChildProcess;
  #receive: ((reply: CellReply) => void) | undefined;

  constructor() {
    // Structured clones keep what JSON loses, such as numbers that are not finite.
    this.#child = fork(new URL('./cellProcess.js', import.meta.url), {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (reply: CellReply) => this.#receive?.(reply));
    this.#child.on('error', ({ message }) => this.#receive?.({ kind: 'failure', message }));
    this.#child.on('exit', (code, signal) =>
      this.#receive?.({
        kind: 'failure',
        code: 'executor',
        message:
          `its process ended unasked (${signal ?? `exit code ${code}`}). A system that is short of memory does that; ` +
          'the same command goes on from the last checkpoint, with fewer at a time by --jobs.',
      }),
    );
  }

  get busy(): boolean {
    return this.#receive !== undefined;
  }

  /** Sends work and waits for its answer. `what` names it where the process dies. */
  ask(request: CellRequest, what: string, hooks?: CellHooks): Promise<Answer> {
    const stop = (): void => void this.#send({ kind: 'stop' });
    hooks?.signal?.addEventListener('abort', stop);
    return new Promise<Answer>((resolve, reject) => {
      this.#receive = (reply) => {
        if (reply.kind === 'step') hooks?.onStep?.(reply.metrics, reply.steps);
        else if (reply.kind === 'warning') hooks?.warn(reply.message);
        else if (reply.kind === 'failure') reject(failureOf(reply, what));
        else resolve(reply);
      };
      if (this.#send(request) && hooks?.signal?.aborted) stop();
    }).finally(() => {
      this.#receive = undefined;
      hooks?.signal?.removeEventListener('abort', stop);
    });
  }

  /** A process that is gone cannot be told anything: its end answers what is asked of it. */
  #send(request: CellRequest): boolean {
    if (this.#child.connected) return this.#child.send(request);
    this.#receive?.({ kind: 'failure', code: 'executor', message: 'its process is gone.' });
    return false;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.disconnect();
    await exit;
  }
}

function failureOf({ code, message }: Extract<CellReply, { kind: 'failure' }>, what: string): Error {
  if (code === undefined) return new Error(`${what}: ${message}`);
  return new BraidError(code, code === 'executor' ? `'${what}': ${message}` : message);
}
