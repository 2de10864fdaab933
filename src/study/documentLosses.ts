/**
 * What a trained model loses on each document of the validation text, and by how much text it has seen before: the
 * figures that a comparison resamples. Windows of the given length that do not overlap, each token predicted once.
 */
import type { Rows, Text } from '../data/index.ts';
import { coveringRows, fillRow } from '../data/index.ts';
import type { ModelConfig } from '../models/index.ts';
import type { Executor, Store } from '../runtime/index.ts';
import type { EvaluationConfig, FrozenTrainConfig } from '../train/index.ts';
import { evaluationProgram, integerInput, numberInput } from '../train/index.ts';

/** Mean loss of the predictions that see between `from` and `to` − 1 tokens of context. */
export interface ContextLoss {
  readonly from: number;
  readonly to: number;
  readonly targets: number;
  /** Nats per target. */
  readonly loss: number;
}

export interface DocumentLosses {
  /** Nats over the targets of each document; its end is a target too. */
  readonly nats: readonly number[];
  readonly contexts: readonly ContextLoss[];
}

const block = 1 << 16;

/** Bytes of each validation document. */
export function documentBytes({ validation, tokenizer }: Pick<Text, 'validation' | 'tokenizer'>): number[] {
  const sizes: number[] = [];
  const tokens = new Int32Array(block);
  // The last token closes the last document, and opens none.
  for (let begin = 0; begin < validation.count - 1; begin += block) {
    const count = Math.min(block, validation.count - 1 - begin);
    validation.read(begin, count, tokens, 0);
    for (let from = 0; from < count; ) {
      if (tokens[from] === validation.separator) {
        sizes.push(0);
        from++;
        continue;
      }
      const next = tokens.subarray(0, count).indexOf(validation.separator, from);
      const end = next < 0 ? count : next;
      sizes[sizes.length - 1] += tokenizer.decode(tokens.subarray(from, end)).length;
      from = end;
    }
  }
  return sizes;
}

/** Rows in one batch of validation tokens: enough to fill the machine, few enough to need little memory. */
const measuredTokens = 4096;

/** The program that measures what was trained, on windows of this length. */
export function measuringSettings(train: FrozenTrainConfig, length: number): EvaluationConfig {
  const { lossChunk, precision, threads } = train;
  const batch = Math.max(1, Math.floor(measuredTokens / length));
  return { batch, length, lossChunk, precision, threads };
}

/** Measures with the weights that are in the store. */
export async function measureDocuments(
  model: ModelConfig,
  config: EvaluationConfig,
  { validation }: Pick<Text, 'validation'>,
  executor: Executor,
  store: Store,
  signal?: AbortSignal,
): Promise<DocumentLosses> {
  const program = executor.load(evaluationProgram(model, config).program, store);
  try {
    const { inputs, outputs } = program;
    const rows: Rows = {
      ids: integerInput(inputs, 'ids'),
      positions: integerInput(inputs, 'positions'),
      documents: integerInput(inputs, 'documents'),
      targets: integerInput(inputs, 'targets'),
    };
    const { batch, length } = config;
    const tally = new Tally(validation.separator, length);
    const count = coveringRows(validation, length);
    for (let row = 0; row < count; row += batch) {
      signal?.throwIfAborted();
      const used = Math.min(batch, count - row);
      // The places of rows that the last batch lacks repeat its last one, and are not counted.
      for (let slot = 0; slot < batch; slot++) {
        fillRow(validation, Math.min(row + slot, count - 1), length, rows, slot);
      }
      await program.run();
      const losses = numberInput(outputs, 'tokenLoss');
      for (let slot = 0; slot < used; slot++) tally.addRow(rows, losses, slot);
    }
    return tally.result();
  } finally {
    program.dispose();
  }
}

/** Sums of losses by document, and by context in classes that double: 0, 1, 2–3, 4–7 … */
class Tally {
  readonly #separator: number;
  readonly #length: number;
  readonly #nats: number[] = [];
  readonly #lost: Float64Array;
  readonly #targets: Float64Array;

  constructor(separator: number, length: number) {
    const classes = classOf(length - 1) + 1;
    this.#separator = separator;
    this.#length = length;
    this.#lost = new Float64Array(classes);
    this.#targets = new Float64Array(classes);
  }

  /** Rows must come in the order of the text, whose first token is a separator. */
  addRow({ ids, targets, documents }: Rows, losses: ArrayLike<number>, slot: number): void {
    for (let t = 0; t < this.#length; t++) {
      const at = slot * this.#length + t;
      if (targets[at] < 0) continue;
      if (ids[at] === this.#separator) this.#nats.push(0);
      const context = classOf(t - documents[at]);
      this.#nats[this.#nats.length - 1] += losses[at];
      this.#lost[context] += losses[at];
      this.#targets[context]++;
    }
  }

  result(): DocumentLosses {
    const contexts = Array.from(this.#targets, (targets, index) => ({
      from: index === 0 ? 0 : 2 ** (index - 1),
      to: 2 ** index,
      targets,
      loss: this.#lost[index] / targets,
    }));
    return { nats: this.#nats, contexts: contexts.filter(({ targets }) => targets > 0) };
  }
}

function classOf(context: number): number {
  return context === 0 ? 0 : Math.floor(Math.log2(context)) + 1;
}
