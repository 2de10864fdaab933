/** Encoding on several threads; results come back in the order in which the work was given. */
import { Worker } from 'node:worker_threads';
import { BraidError } from '../../graph/index.ts';
import { findTokenizer } from '../tokenizer.ts';
import { type Batch, type EncodedBatch, encodeBatch } from './encode.ts';
import type { TokenWidth } from './format.ts';

export interface Encoders {
  /** Batches worth having under way at the same time. */
  readonly depth: number;
  encode(batch: Batch): Promise<EncodedBatch>;
  close(): Promise<void>;
}

export interface EncoderJob {
  /** As `findTokenizer` takes it. */
  readonly tokenizer: string;
  readonly width: TokenWidth;
}

export type EncoderReply =
  | { readonly encoded: EncodedBatch }
  | { readonly failure: { readonly code: 'data' | 'file' | 'config'; readonly message: string } };

/** With 0 threads the work is done here, which is best for tokenizers that cost next to nothing. */
export function openEncoders(job: EncoderJob, threads: number): Encoders {
  return threads === 0 ? here(job) : onThreads(job, threads);
}

function here({ tokenizer, width }: EncoderJob): Encoders {
  const found = findTokenizer(tokenizer);
  return {
    depth: 1,
    encode: async (batch) => encodeBatch(batch, found, width),
    close: async () => undefined,
  };
}

interface Waiting {
  done(encoded: EncodedBatch): void;
  fail(error: Error): void;
}

function onThreads(job: EncoderJob, threads: number): Encoders {
  const script = new URL('./encoderThread.js', import.meta.url);
  const queues: Waiting[][] = [];
  const workers = Array.from({ length: threads }, () => {
    const worker = new Worker(script, { workerData: job });
    const queue: Waiting[] = [];
    queues.push(queue);
    worker.on('message', (reply: EncoderReply) => {
      const waiting = queue.shift();
      if ('encoded' in reply) waiting?.done(reply.encoded);
      else waiting?.fail(new BraidError(reply.failure.code, reply.failure.message));
    });
    worker.on('error', (error) => {
      for (const waiting of queue.splice(0)) waiting.fail(error);
    });
    return worker;
  });
  return {
    depth: 2 * threads,
    encode(batch) {
      const lengths = queues.map((queue) => queue.length);
      const chosen = lengths.indexOf(Math.min(...lengths));
      return new Promise((done, fail) => {
        queues[chosen].push({ done, fail });
        workers[chosen].postMessage(batch, [batch.bytes.buffer, batch.lengths.buffer, batch.flags.buffer]);
      });
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
