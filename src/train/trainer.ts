/**
 * A model in training: its programs, its tensors and its place in the text. A step is one call of `step`; everything that
 * the next step depends on is in `persistent` and `progress`, so that saving both and restoring them repeats the bits.
 */

import type { Program } from '../compiler/index.ts';
import type { LoaderState, Rows, TokenSource } from '../data/index.ts';
import { Loader, weighNucleotides } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import type { ModelConfig } from '../models/config.ts';
import type { ParameterSpec } from '../nn/index.ts';
import { initialize } from '../nn/index.ts';
import type {
  Executor,
  LaneStatistics,
  LoadedProgram,
  NonFinite,
  RunStatistics,
  Store,
  StoredTensor,
} from '../runtime/executor.ts';
import type { Persistent, Progress } from './checkpoint.ts';
import type { DataConfig, FrozenTrainConfig } from './config.ts';
import { tokensPerStep } from './config.ts';
import { integerInput, numberInput } from './inputs.ts';
import { laneBalance } from './lanes.ts';
import { requireSettled } from './measuredBalance.ts';
import type { MemoryPlan } from './memory.ts';
import { checkMemory, planMemory } from './memory.ts';
import type { StepMetrics } from './metrics.ts';
import type { TrainingPrograms } from './program.ts';
import { buildTraining } from './program.ts';
import { learningRate } from './schedule.ts';
import { refreshShadows } from './shadows.ts';

export interface TrainerSetup {
  readonly model: ModelConfig;
  readonly train: FrozenTrainConfig;
  readonly executor: Executor;
  readonly text: TokenSource;
  /** How documents share a row and what their tokens weigh; default: apart, and even. */
  readonly data?: Partial<Pick<DataConfig, 'documents' | 'weighting'>>;
}

export interface StepOptions {
  /** Called after every run of a program. */
  readonly observe?: (program: Program, statistics: RunStatistics) => void;
  /** Whether the times of all calls are among what is observed, for which the clock is read at each. Default: yes. */
  readonly profile?: boolean;
}

interface RunStep {
  readonly check?: boolean;
  readonly observe?: StepOptions['observe'] | undefined;
  readonly profile?: boolean | undefined;
}

export class Trainer {
  readonly config: FrozenTrainConfig;
  readonly store: Store;
  readonly programs: TrainingPrograms;
  readonly memory: MemoryPlan;
  readonly #executor: Executor;
  readonly #loader: Loader;
  readonly #text: string;
  readonly #weighting: DataConfig['weighting'];
  readonly #step: LoadedProgram;
  readonly #update: LoadedProgram;
  readonly #rows: Rows;
  #progress: Progress;

  /** Compiles the programs and checks that they fit into memory before it allocates. Weights are zero until `initialize` or `restored`. */
  constructor({ model, train, executor, text, data = {} }: TrainerSetup) {
    requireSettled(model);
    this.config = train;
    this.#executor = executor;
    const { documents = 'apart', weighting = 'even' } = data;
    this.#loader = new Loader(text, train.length, train.seed, { documents });
    this.#weighting = weighting;
    this.#text = text.fingerprint;
    this.programs = buildTraining(model, train);
    const { step, update } = this.programs;
    this.memory = planMemory(update ? [step, update] : [step]);
    checkMemory(
      this.memory,
      'Use train.recompute=true, or a smaller train.batch (with more train.accumulation) or train.length.',
    );
    this.store = executor.createStore();
    this.#step = executor.load(step, this.store);
    this.#update = update ? executor.load(update, this.store) : this.#step;
    const { inputs } = this.#step;
    this.#rows = {
      ids: integerInput(inputs, 'ids'),
      positions: integerInput(inputs, 'positions'),
      documents: integerInput(inputs, 'documents'),
      targets: integerInput(inputs, 'targets'),
    };
    this.#progress = { step: 0, tokens: 0, seconds: 0, loader: this.#loader.state, text: this.#text };
  }

  get progress(): Progress {
    return this.#progress;
  }

  /** The tensors of a checkpoint. */
  get persistent(): Persistent {
    const { parameters } = this.programs;
    const find = (role: string, { shape }: ParameterSpec, name: string): StoredTensor =>
      this.store.tensor(`${role}/${name}`, 'float32', shape);
    return {
      parameters: parameters.map((spec) => find('parameter', spec, spec.name)),
      optimizer: parameters
        .filter((spec) => !spec.fixed)
        .flatMap((spec) => ['m', 'v'].map((moment) => find('optimizer', spec, `${spec.name}.${moment}`))),
    };
  }

  /** Begins a run: weights from the seed. */
  async initialize(): Promise<void> {
    for (const spec of this.programs.parameters) {
      const { data } = this.store.tensor(`parameter/${spec.name}`, 'float32', spec.shape);
      const values = data instanceof Float32Array ? data : new Float32Array(data.length);
      initialize(spec, this.config.seed, values);
      if (values !== data) data.set(values);
    }
    await this.#refreshShadows();
  }

  /** Goes on where `progress` says, after the persistent tensors were loaded. */
  async restored(progress: Progress): Promise<void> {
    if (progress.text !== '' && progress.text !== this.#text) {
      throw new BraidError(
        'checkpoint',
        'The training text is not the one that this run began with. Resume it with the same text, or start a new run.',
      );
    }
    this.#loader.seek(progress.loader);
    this.#progress = { ...progress, text: this.#text };
    await this.#refreshShadows();
  }

  async #refreshShadows(): Promise<void> {
    const { shadows } = this.programs;
    await refreshShadows(shadows, this.config.threads, this.#executor, this.store);
  }

  /**
   * Does one optimizer step and returns its figures. A loss or gradient norm that is not finite is a
   * `BraidError('diverged')` that names the first layer at fault; the weights are then those before the step.
   */
  async step({ observe, profile }: StepOptions = {}): Promise<StepMetrics> {
    const { config } = this;
    const step = this.#progress.step + 1;
    const from = this.#loader.state;
    const rate = learningRate(
      {
        peak: config.learningRate,
        steps: config.steps,
        warmup: Math.round(config.warmup * config.steps),
        floor: config.finalRate,
      },
      step,
    );
    const begin = performance.now();
    numberInput(this.#update.inputs, 'learningRate')[0] = rate;
    numberInput(this.#update.inputs, 'step')[0] = step;
    numberInput(this.#update.inputs, 'maxNorm')[0] = config.clip;
    const { loss, balance } = await this.#gradients({ observe, profile });
    if (this.#update !== this.#step) await this.#run(this.#update, { observe, profile });
    const gradientNorm = numberInput(this.#update.outputs, 'norm')[0];
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
      throw await this.#explainDivergence(step, from, loss, gradientNorm);
    }
    const seconds = (performance.now() - begin) / 1000;
    const tokens = tokensPerStep(config);
    this.#progress = {
      ...this.#progress,
      step,
      tokens: this.#progress.tokens + tokens,
      seconds: this.#progress.seconds + seconds,
      loader: this.#loader.state,
    };
    return {
      step,
      tokens: this.#progress.tokens,
      flops: step * this.programs.flopsPerStep,
      loss,
      gradientNorm,
      learningRate: rate,
      tokensPerSecond: tokens / seconds,
      seconds: this.#progress.seconds,
      ...(balance === undefined ? {} : { laneBalance: balance }),
    };
  }

  /** Runs the forward and backward passes of a step on the next rows; returns the loss and the balance of the lanes. */
  async #gradients({
    check = false,
    observe,
    profile,
  }: RunStep): Promise<{ loss: number; balance: number | undefined }> {
    const { batch, length, accumulation } = this.config;
    const weights = numberInput(this.#step.inputs, 'weights');
    // Every position of a training row has a target, so that even weights are all the same.
    if (this.#weighting === 'even') weights.fill(1 / (accumulation * batch * length));
    let loss = 0;
    const lanes: LaneStatistics[] = [];
    for (let part = 0; part < accumulation; part++) {
      this.#loader.fill(this.#rows, batch);
      if (this.#weighting === 'dna') weighNucleotides(this.#rows.targets, length, weights, 1 / accumulation);
      if (accumulation > 1) numberInput(this.#step.inputs, 'keep')[0] = part === 0 ? 0 : 1;
      lanes.push(...(await this.#run(this.#step, { check, observe, profile })).lanes);
      loss += numberInput(this.#step.outputs, 'loss')[0];
    }
    return { loss, balance: laneBalance(lanes) };
  }

  async #run(
    program: LoadedProgram,
    { check = false, observe, profile = observe !== undefined }: RunStep,
  ): Promise<RunStatistics> {
    const statistics = await program.run({ check, profile });
    observe?.(program.program, statistics);
    return statistics;
  }

  /** Runs the step again, stopping at the first call whose result is not finite. The update changes nothing then. */
  async #explainDivergence(step: number, from: LoaderState, loss: number, norm: number): Promise<BraidError> {
    this.#loader.seek(from);
    let origin = 'a second run of the step in checked mode found every single result finite';
    let cause: unknown;
    try {
      await this.#gradients({ check: true });
    } catch (error) {
      cause = error;
      if (!(error instanceof BraidError) || error.code !== 'diverged') throw error;
      const { operation, path } = error.cause as NonFinite;
      origin = `the first result that is not finite is that of ${operation} in ${path === '' ? 'the model' : path}`;
    }
    this.#loader.seek(from);
    return new BraidError(
      'diverged',
      `Step ${step} diverged: the loss is ${loss}, the gradient norm ${norm}; ${origin}. The step was not applied.`,
      { cause },
    );
  }

  dispose(): void {
    this.#step.dispose();
    if (this.#update !== this.#step) this.#update.dispose();
    this.store.dispose();
  }
}
