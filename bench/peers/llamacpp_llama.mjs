/** LLaMA inference in node-llama-cpp on the CPU, with BF16 matrices in a GGUF file of the same random weights. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { writeGguf } from './gguf_file.mjs';
import { readArguments, report, time, tokenIds } from './llama.mjs';

const { shape, what, length, threads, samples, load } = readArguments();
const file = load('node-llama-cpp');
const { getLlama } = await import(pathToFileURL(file).href);
const { version } = JSON.parse(readFileSync(path.join(path.dirname(file), '../package.json'), 'utf8'));

const folder = mkdtempSync(path.join(os.tmpdir(), 'braid-gguf-'));
let seconds;
try {
  const modelPath = path.join(folder, 'llama.gguf');
  writeGguf(modelPath, shape, 'bfloat16');
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: threads });
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const contextSize = length + samples + 64;
  const context = await model.createContext({ contextSize, batchSize: Math.max(length, 8), threads });
  const sequence = context.getSequence();
  const ids = tokenIds(length, shape.vocabulary);
  if (what === 'prompt') {
    seconds = await time(samples, async () => {
      await sequence.clearHistory();
      await first(ids);
    });
  } else {
    const stream = sequence.evaluate(ids, { temperature: 0, yieldEogToken: true });
    seconds = await time(samples, () => stream.next());
  }
  await context.dispose();
  await model.dispose();

  /** The logits of the last token are computed where a next one is asked for. */
  async function first(tokens) {
    const stream = sequence.evaluate(tokens, { temperature: 0, yieldEogToken: true });
    await stream.next();
    await stream.return();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report(version, seconds);
process.exit(0);
