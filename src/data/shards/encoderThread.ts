/** One thread that encodes: a batch comes, its tokens go. */
import { parentPort, workerData } from 'node:worker_threads';
import { BraidError } from '../../graph/index.ts';
import { findTokenizer, type Tokenizer } from '../tokenizer.ts';
import { type Batch, encodeBatch } from './encode.ts';
import type { EncoderJob, EncoderReply } from './encoders.ts';

const job = workerData as EncoderJob;
let tokenizer: Tokenizer | undefined;

parentPort?.on('message', (batch: Batch) => {
  try {
    tokenizer ??= findTokenizer(job.tokenizer);
    const encoded = encodeBatch(batch, tokenizer, job.width);
    const reply: EncoderReply = { encoded };
    parentPort?.postMessage(reply, [encoded.train.tokens.buffer, encoded.validation.tokens.buffer]);
  } catch (error) {
    if (!(error instanceof BraidError)) throw error;
    const code = error.code === 'file' || error.code === 'config' ? error.code : 'data';
    const reply: EncoderReply = { failure: { code, message: error.message } };
    parentPort?.postMessage(reply);
  }
});
