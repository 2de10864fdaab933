/** A model that learns a synthetic task from nothing, and the test of what it learned. */
import { permutation } from '../../data/order.ts';
import { BraidError } from '../../graph/index.ts';
import type { ModelConfig } from '../../models/config.ts';
import { initialize } from '../../nn/index.ts';
import type { Executor, LoadedProgram, Store } from '../../runtime/index.ts';
import { checkMemory, integerInput, numberInput, planMemory, refreshShadows } from '../../train/index.ts';
import { fillCode } from './decoder.ts';
import type { SyntheticOptions, SyntheticPrograms } from './programs.ts';
import { syntheticPrograms, testProgram } from './programs.ts';
import type { SyntheticRow, SyntheticTask } from './task.ts';

export interface LearnerOptions extends SyntheticOptions {
  readonly seed: number;
  /** Largest norm of the gradient; 0: no clipping. */
  readonly clip: number;
}

export interface Accuracy {
  /** Share of the places whose likeliest token is the right one. */
  readonly accuracy: number;
  /** The mean of that over the tokens that are right somewhere: what MAD reports. */
  readonly macro: number;
  /** The share by group, where the task has groups. */
  readonly groups: Readonly<Record<string, number>>;
  /** The share by where in the row the place is: the parts of the row, of eight, in which something is asked. */
  readonly positions: readonly PositionAccuracy[];
}

export interface PositionAccuracy {
  /** Places [begin, end). */
  readonly begin: number;
  readonly end: number;
  readonly accuracy: number;
}

const positionParts = 8;

export class Learner {
  readonly programs: SyntheticPrograms;
  readonly #task: SyntheticTask;
  readonly #options: LearnerOptions;
  readonly #executor: Executor;
  readonly #store: Store;
  readonly #train: LoadedProgram;
  readonly #test: LoadedProgram;
  readonly #model: ModelConfig;
  #step = 0;

  /** Compiles the programs and checks that they fit into memory. Weights are those of the seed after `reset`. */
  constructor(task: SyntheticTask, model: ModelConfig, options: LearnerOptions, executor: Executor) {
    this.#task = task;
    this.#model = model;
    this.#options = options;
    this.#executor = executor;
    this.programs = syntheticPrograms(task, model, options);
    const { train, test } = this.programs;
    checkMemory(planMemory([train, test]), 'Use a smaller --batch, or a smaller model.');
    this.#store = executor.createStore();
    this.#train = executor.load(train, this.#store);
    this.#test = executor.load(test, this.#store);
  }

  get stepsPerEpoch(): number {
    return Math.max(1, Math.floor(this.#task.trainRows / this.#options.batch));
  }

  /** Forgets everything: weights from the seed, an optimizer that has seen nothing. */
  async reset(): Promise<void> {
    const { seed, threads } = this.#options;
    for (const spec of this.programs.parameters) {
      const { data } = this.#store.tensor(`parameter/${spec.name}`, 'float32', spec.shape);
      const values = new Float32Array(data.length);
      initialize(spec, seed, values);
      data.set(values);
    }
    for (const key of this.#store.keys()) {
      if (key.startsWith('optimizer/')) this.#store.find(key)?.data.fill(0);
    }
    this.#step = 0;
    await refreshShadows(this.programs.shadows, threads, this.#executor, this.#store);
  }

  /** Learns from the next batch of the order of the epochs; returns the mean loss in nats. */
  async step(learningRate: number): Promise<number> {
    const { batch, clip } = this.#options;
    const { inputs, outputs } = this.#train;
    const epoch = Math.floor(this.#step / this.stepsPerEpoch);
    const place = (this.#step % this.stepsPerEpoch) * batch;
    const order = permutation(this.#task.trainRows, this.#options.seed, epoch);
    const rows = Array.from({ length: batch }, (_, slot) =>
      this.#task.row('train', order((place + slot) % this.#task.trainRows)),
    );
    const asked = this.#fill(this.#train, rows, this.#task);
    const targets = integerInput(inputs, 'targets').fill(-1);
    const weights = numberInput(inputs, 'weights').fill(0);
    const all = asked.reduce((sum, places) => sum + places.length, 0);
    const width = this.#task.places.train;
    asked.forEach((places, slot) => {
      places.forEach((at, index) => {
        targets[slot * width + index] = rows[slot].targets[at];
        weights[slot * width + index] = 1 / all;
      });
    });
    this.#step++;
    numberInput(inputs, 'learningRate')[0] = learningRate;
    numberInput(inputs, 'step')[0] = this.#step;
    numberInput(inputs, 'maxNorm')[0] = clip;
    await this.#train.run();
    const loss = numberInput(outputs, 'loss')[0];
    if (Number.isFinite(loss)) return loss;
    throw new BraidError(
      'diverged',
      `'${this.#task.name}' diverged at step ${this.#step}: the loss is ${loss}. Use a smaller --rate.`,
    );
  }

  /** Writes rows into a program; returns where each row asks. Rows that lack repeat the first one. */
  #fill({ inputs, program }: LoadedProgram, rows: readonly SyntheticRow[], task: SyntheticTask): number[][] {
    const { length, readout } = task;
    const ids = integerInput(inputs, 'ids');
    const positions = integerInput(inputs, 'positions');
    const places = integerInput(inputs, 'places').fill(0);
    const { batch } = this.#options;
    const [, width] = program.buffers[program.inputs.places].shape;
    const asked = rows.map(({ targets }) => [...targets.keys()].filter((at) => targets[at] >= 0));
    for (let slot = 0; slot < batch; slot++) ids.set((rows[slot] ?? rows[0]).ids, slot * length);
    for (let i = 0; i < positions.length; i++) positions[i] = i % length;
    asked.forEach((list, slot) => {
      places.set(
        list.map((at) => slot * length + at),
        slot * width,
      );
    });
    if (readout === 'autoencoder') {
      const numbers = integerInput(inputs, 'rows');
      for (let i = 0; i < numbers.length; i++) numbers[i] = Math.floor(i / length);
      fillCode(numberInput(inputs, 'code'), length, this.#model.width);
    }
    return asked;
  }

  /** How much of the test (its first `rows`) the model gets right now. */
  test(rows: number = this.#task.testRows): Promise<Accuracy> {
    return this.#measure(this.#test, this.#task, rows);
  }

  /** The test of another task with the same vocabulary, such as the same one at another length. */
  async testOn(task: SyntheticTask): Promise<Accuracy> {
    const program = this.#executor.load(testProgram(task, this.#model, this.#options), this.#store);
    try {
      return await this.#measure(program, task, task.testRows);
    } finally {
      program.dispose();
    }
  }

  async #measure(program: LoadedProgram, task: SyntheticTask, rows: number): Promise<Accuracy> {
    const { batch } = this.#options;
    const { vocabulary } = this.#model;
    const classes = new Tally();
    const groups = new Tally();
    const parts = new Tally();
    const width = task.places.test;
    for (let from = 0; from < rows; from += batch) {
      const part = Array.from({ length: Math.min(batch, rows - from) }, (_, slot) =>
        task.row('test', from + slot),
      );
      const asked = this.#fill(program, part, task);
      await program.run();
      const logits = numberInput(program.outputs, 'logits');
      asked.forEach((places, slot) => {
        places.forEach((at, index) => {
          const begin = (slot * width + index) * vocabulary;
          const target = part[slot].targets[at];
          const right = likeliest(logits.subarray(begin, begin + vocabulary)) === target;
          classes.add(String(target), right);
          groups.add(part[slot].group ?? '', right);
          parts.add(String(Math.floor((at * positionParts) / task.length)), right);
        });
      });
    }
    const shares = Object.values(classes.shares());
    const macro = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    const { '': ungrouped, ...named } = groups.shares();
    const edge = (index: number): number => Math.ceil((index * task.length) / positionParts);
    const positions = Object.entries(parts.shares())
      .map(([index, accuracy]) => ({ begin: edge(Number(index)), end: edge(Number(index) + 1), accuracy }))
      .sort((a, b) => a.begin - b.begin);
    return { accuracy: classes.share(), macro, groups: ungrouped === undefined ? named : {}, positions };
  }

  dispose(): void {
    this.#train.dispose();
    this.#test.dispose();
    this.#store.dispose();
  }
}

function likeliest(logits: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

/** Counts what was right, by name. */
class Tally {
  readonly #counts = new Map<string, { right: number; all: number }>();

  add(name: string, right: boolean): void {
    const count = this.#counts.get(name) ?? { right: 0, all: 0 };
    count.right += Number(right);
    count.all++;
    this.#counts.set(name, count);
  }

  shares(): Record<string, number> {
    return Object.fromEntries([...this.#counts].map(([name, { right, all }]) => [name, right / all]));
  }

  share(): number {
    let [right, all] = [0, 0];
    for (const count of this.#counts.values()) {
      right += count.right;
      all += count.all;
    }
    return right / all;
  }
}
