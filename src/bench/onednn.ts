/**
 * oneDNN as a peer: never a dependency. Where the library is installed, a small program (bench/peers/onednn.cpp) is compiled
 * and asked for products in turn with Braid's own; it sleeps in between.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { BraidError } from '../graph/index.ts';
import { nameOf, type Product } from './products.ts';

const source = fileURLToPath(new URL('../../bench/peers/onednn.cpp', import.meta.url));
const binary = fileURLToPath(new URL('../../build/peers/onednn', import.meta.url));

/** Both operands stored row by row, as Braid has them, or the second one in oneDNN's own layout, brought there beforehand. */
export type PeerLayout = 'plain' | 'packed';

/** Runs until there are so many and, where given, they took so long together. */
export interface PeerRuns {
  readonly runs: number;
  readonly seconds?: number;
}

export class OneDnn {
  /** Name and version. */
  readonly version: string;
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #lines: Interface;

  private constructor(
    process: ChildProcess,
    lines: Interface,
    answers: AsyncIterator<string>,
    version: string,
  ) {
    this.#process = process;
    this.#lines = lines;
    this.#answers = answers;
    this.version = version;
  }

  /** Compiles and starts the program, or gives the reason why it cannot be had. */
  static async open(threads: number): Promise<OneDnn | { readonly reason: string }> {
    const reason = build();
    if (reason !== undefined) return { reason };
    const child = spawn(binary, [], {
      stdio: ['pipe', 'pipe', 'inherit'],
      // Waiting threads must not take time from the others.
      env: { ...process.env, OMP_NUM_THREADS: String(threads), OMP_WAIT_POLICY: 'passive' },
    });
    const lines = createInterface({ input: child.stdout });
    const answers = lines[Symbol.asyncIterator]();
    const { value } = await answers.next();
    if (typeof value !== 'string') return { reason: `${binary} ended at once; remove it and try again` };
    return new OneDnn(child, lines, answers, value);
  }

  /**
   * Seconds of each run. The program keeps its last few products ready, so that another layout or Braid can be measured in
   * turn. Undefined where the library has no such product on this CPU (BF16 needs AVX-512 in old versions).
   */
  async measure(
    product: Product,
    layout: PeerLayout,
    { runs, seconds = 0 }: PeerRuns,
  ): Promise<readonly number[] | undefined> {
    const { m, k, n, transposeA, transposeB, dtype } = product;
    const order = [m, k, n, Number(transposeA), Number(transposeB), dtype, layout, runs, seconds];
    this.#process.stdin?.write(`${order.join(' ')}\n`);
    const { value } = await this.#answers.next();
    if (typeof value !== 'string') {
      throw new BraidError('native', `${this.version} ended while it multiplied ${nameOf(product)}.`);
    }
    if (value.startsWith('unsupported')) return undefined;
    const times = value.trim().split(/\s+/).map(Number);
    if (times.every((time) => time > 0)) return times;
    throw new BraidError('native', `${this.version} on ${nameOf(product)}: ${value}`);
  }

  close(): void {
    this.#lines.close();
    this.#process.stdin?.end();
  }
}

/** Why there is no program; undefined when there is one. */
function build(): string | undefined {
  if (!existsSync(source))
    return 'bench/peers is not part of the installed package; use a clone of the repository';
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return undefined;
  const compiler = process.env.CXX ?? 'g++';
  mkdirSync(dirname(binary), { recursive: true });
  try {
    const flags = ['-O2', '-std=c++17', source, '-o', binary, '-ldnnl'];
    execFileSync(compiler, flags, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return undefined;
  } catch (error) {
    const { stderr = '', code } = error as { stderr?: string; code?: string };
    if (code === 'ENOENT') return `there is no compiler '${compiler}'; set CXX`;
    if (/dnnl\.hpp|-l?dnnl/.test(stderr)) return 'oneDNN is not installed (Debian: apt install libdnnl-dev)';
    return `${compiler} failed: ${stderr.trim().split('\n')[0]}`;
  }
}
