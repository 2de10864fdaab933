/** A model whose weights are in a store, ready to be asked what it expects of a text. */
import type { Program } from '../compiler/index.ts';
import type { Tokenizer } from '../data/index.ts';
import type { ModelConfig } from '../models/config.ts';
import type { ParameterSpec } from '../nn/index.ts';
import type { Executor, LoadedProgram, Store } from '../runtime/index.ts';
import type { Precision } from '../train/index.ts';
import { refreshShadows } from '../train/index.ts';

export interface EvaluatedModel {
  readonly model: ModelConfig;
  readonly precision: Precision;
  readonly threads: number;
  readonly executor: Executor;
  readonly store: Store;
  readonly tokenizer: Tokenizer;
  /** The token before every text. */
  readonly begin: number;
  /** Whether the contexts of questions begin with it too; otherwise only empty ones do. */
  readonly beginsContexts: boolean;
}

export interface EvaluationProgram {
  readonly program: Program;
  /** Weights that it reads as BF16 copies. */
  readonly shadows: readonly ParameterSpec[];
}

/** Programs in memory at the same time: each holds an arena. */
const mostPrograms = 32;

/** Programs of one model, each compiled once while it is in use. The least recently used one goes when there are too many. */
export class ProgramShelf {
  readonly #model: EvaluatedModel;
  readonly #programs = new Map<string, LoadedProgram>();
  readonly #copied = new Set<string>();

  constructor(model: EvaluatedModel) {
    this.#model = model;
  }

  /** The program of that key; `make` compiles it when it is not there. */
  async get(key: string, make: () => EvaluationProgram): Promise<LoadedProgram> {
    const known = this.#programs.get(key);
    if (known) {
      this.#programs.delete(key);
      this.#programs.set(key, known);
      return known;
    }
    const [oldest] = this.#programs.keys();
    if (oldest !== undefined && this.#programs.size >= mostPrograms) this.#remove(oldest);
    const { program, shadows } = make();
    const { executor, store, threads } = this.#model;
    const fresh = shadows.filter(({ name }) => !this.#copied.has(name));
    await refreshShadows(fresh, threads, executor, store);
    for (const { name } of fresh) this.#copied.add(name);
    const loaded = executor.load(program, store);
    this.#programs.set(key, loaded);
    return loaded;
  }

  #remove(key: string): void {
    this.#programs.get(key)?.dispose();
    this.#programs.delete(key);
  }

  dispose(): void {
    for (const key of [...this.#programs.keys()]) this.#remove(key);
  }
}
