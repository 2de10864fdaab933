import type { Program } from './program.ts';

/** Compiled programs by a key that says everything they depend on, such as `decode/16/1024`. */
export class ProgramCache {
  readonly #programs = new Map<string, Program>();

  get size(): number {
    return this.#programs.size;
  }

  /** The program of that key, built at the first call. */
  get(key: string, build: () => Program): Program {
    const known = this.#programs.get(key);
    if (known) return known;
    const program = build();
    this.#programs.set(key, program);
    return program;
  }

  clear(): void {
    this.#programs.clear();
  }
}
