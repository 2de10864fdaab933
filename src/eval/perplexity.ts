/**
 * How well a model predicts a text: bits per byte, over windows of the training length that do not overlap, each token
 * of the text predicted once (data/packing.ts).
 *
 *     bits per byte = Σ −log2 p over all targets / bytes of text
 *
 * The ends of documents are targets too, and have no bytes: they count against the model.
 */
import type { Rows, Tokenizer, TokenStream } from '../data/index.ts';
import { coveringRows, fillRow } from '../data/index.ts';
import type { ModelConfig } from '../models/config.ts';
import type { Executor, LoadedProgram, Store } from '../runtime/executor.ts';
import type { EvaluationConfig } from '../train/index.ts';
import { evaluationProgram, integerInput, numberInput } from '../train/index.ts';

export interface PerplexityOptions {
  /** Most rows, from the beginning of the text; 0: all. */
  readonly rows?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Perplexity {
  /** Mean −log p per target, in nats. */
  readonly loss: number;
  readonly perplexity: number;
  readonly bitsPerByte: number;
  readonly targets: number;
  readonly bytes: number;
}

export class PerplexityMeter {
  readonly #config: EvaluationConfig;
  readonly #tokenizer: Tokenizer;
  readonly #program: LoadedProgram;
  readonly #rows: Rows;

  /** Evaluates with the weights that are in the store (and, in bfloat16, their copies) whenever `measure` is called. */
  constructor(
    model: ModelConfig,
    config: EvaluationConfig,
    tokenizer: Tokenizer,
    executor: Executor,
    store: Store,
  ) {
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#program = executor.load(evaluationProgram(model, config).program, store);
    const { inputs } = this.#program;
    this.#rows = {
      ids: integerInput(inputs, 'ids'),
      positions: integerInput(inputs, 'positions'),
      documents: integerInput(inputs, 'documents'),
      targets: integerInput(inputs, 'targets'),
    };
  }

  async measure(
    stream: TokenStream,
    { rows: most = 0, signal, onProgress }: PerplexityOptions = {},
  ): Promise<Perplexity> {
    const { batch, length } = this.#config;
    const all = coveringRows(stream, length);
    const rows = most > 0 ? Math.min(most, all) : all;
    const rest = this.#rows;
    let nats = 0;
    let targets = 0;
    let bytes = 0;
    for (let row = 0; row < rows; row += batch) {
      signal?.throwIfAborted();
      const used = Math.min(batch, rows - row) * length;
      // The last batch may lack rows: what stands in their places repeats the last one and is not counted.
      for (let slot = 0; slot < batch; slot++)
        fillRow(stream, Math.min(row + slot, rows - 1), length, rest, slot);
      const given = Array.from(rest.targets.subarray(0, used)).filter((target) => target >= 0);
      await this.#program.run();
      const losses = numberInput(this.#program.outputs, 'tokenLoss');
      for (let i = 0; i < used; i++) nats += losses[i];
      targets += given.length;
      bytes += this.#tokenizer.decode(given).length;
      onProgress?.(Math.min(rows, row + batch), rows);
    }
    const loss = nats / targets;
    return { loss, perplexity: Math.exp(loss), bitsPerByte: nats / Math.LN2 / bytes, targets, bytes };
  }

  dispose(): void {
    this.#program.dispose();
  }
}
