/** All runs of a command: a task or a protocol, for several models, rates, decays and seeds. */
import type { ModelConfig } from '../../models/config.ts';
import type { Executor } from '../../runtime/index.ts';
import type { Precision } from '../../train/index.ts';
import type { LearnCost, Learned, LearnOptions } from './learn.ts';
import { costOf, learn } from './learn.ts';
import { Learner } from './learner.ts';
import { stepFlops } from './programs.ts';
import type { SettingScore, Training } from './protocol.ts';
import { protocolScore, protocols } from './protocol.ts';
import { syntheticTask } from './registry.ts';
import type { SyntheticTask } from './task.ts';

/** A model that takes the vocabulary of the task. */
export interface SyntheticModel {
  readonly name: string;
  config(vocabulary: number): ModelConfig;
}

export interface SyntheticRequest extends Partial<Training> {
  readonly models: readonly SyntheticModel[];
  readonly warmup: number;
  readonly seeds: number;
  /** Lengths to test at beside that of training. */
  readonly lengths?: readonly number[] | undefined;
  readonly precision: Precision;
  readonly executor: Executor;
}

export interface PlannedRun {
  readonly model: SyntheticModel;
  readonly config: ModelConfig;
  /** What the score of the run counts for. */
  readonly kind: string;
  readonly task: SyntheticTask;
  /** The same task at other lengths, for the test after training. */
  readonly longer: readonly SyntheticTask[];
  readonly batch: number;
  readonly rate: number;
  readonly decay: number;
  readonly seed: number;
}

export interface SyntheticPlan {
  readonly runs: readonly PlannedRun[];
  readonly epochs: number;
  readonly warmup: number;
  readonly stop: number;
  readonly precision: Precision;
  readonly executor: Executor;
  /** Whether the runs are a protocol, which has a score. */
  readonly protocol: boolean;
}

/** Without a protocol, and where nothing else is asked for. */
const usual: Training = { batch: 64, epochs: 20, rates: [1e-3], decays: [0.1], stop: 0.99 };

/** Betas of AdamW as PyTorch has them, whose defaults MAD and Zoology use. */
const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clip: 1 } as const;

export function planSynthetic(name: string, request: SyntheticRequest): SyntheticPlan {
  const protocol = protocols.find((one) => one.name === name);
  const training = { ...(protocol?.training ?? usual) };
  const { models, warmup, seeds, lengths = [], precision, executor } = request;
  const {
    epochs = training.epochs,
    rates = training.rates,
    decays = training.decays,
    stop = training.stop,
  } = request;
  const settings = protocol?.settings ?? [{ task: name, settings: {} }];
  const runs = models.flatMap((model) =>
    settings.flatMap((setting): PlannedRun[] => {
      const task = syntheticTask(setting.task, setting.settings);
      const longer = lengths.map((length) => syntheticTask(setting.task, { ...setting.settings, length }));
      const config = model.config(task.vocabulary);
      const asked = request.batch ?? setting.batch ?? training.batch;
      const batch = Math.min(asked, task.trainRows);
      return rates.flatMap((rate) =>
        decays.flatMap((decay) =>
          Array.from({ length: seeds }, (_, index) => ({
            model,
            config,
            kind: setting.task,
            task,
            longer,
            batch,
            rate,
            decay,
            seed: index + 1,
          })),
        ),
      );
    }),
  );
  return { runs, epochs, warmup, stop, precision, executor, protocol: protocol !== undefined };
}

/** Tells runs apart: two with the same key give the same result. */
export function runKey(run: PlannedRun, plan: SyntheticPlan): string {
  const { config, task, longer, batch, rate, decay, seed } = run;
  const { epochs, warmup, stop, precision } = plan;
  const names = [task, ...longer].map(({ name }) => name);
  return JSON.stringify({ tasks: names, config, batch, rate, decay, seed, epochs, warmup, stop, precision });
}

function learnerOf({ precision, executor }: SyntheticPlan, run: PlannedRun): Learner {
  const { task, config, batch, decay, seed } = run;
  const { threads } = executor;
  return new Learner(task, config, { ...optimizer, batch, decay, seed, precision, threads }, executor);
}

/**
 * What all runs cost at most. The setting with the fewest FLOPs per step is timed for each model, and the others are
 * reckoned from their FLOPs.
 */
export async function costOfPlan(plan: SyntheticPlan, signal?: AbortSignal): Promise<LearnCost> {
  const models = [...new Set(plan.runs.map(({ model }) => model))];
  let sum: LearnCost = { steps: 0, flops: 0, seconds: 0 };
  for (const model of models) {
    signal?.throwIfAborted();
    const perStep = new Map<string, number>();
    const runs = plan.runs
      .filter((run) => run.model === model)
      .map((run) => {
        const key = `${run.task.name} ${run.batch}`;
        const flops = perStep.get(key) ?? stepFlops(run.task, run.config, run.batch);
        perStep.set(key, flops);
        const steps = plan.epochs * Math.max(1, Math.floor(run.task.trainRows / run.batch));
        return { run, steps, flops };
      });
    const cheapest = runs.reduce((least, one) => (one.flops < least.flops ? one : least));
    const learner = learnerOf(plan, cheapest.run);
    const timed = await costOf(learner, plan.epochs);
    learner.dispose();
    for (const { steps, flops } of runs) {
      sum = {
        steps: sum.steps + steps,
        flops: sum.flops + steps * flops,
        seconds: sum.seconds + (steps * flops * timed.seconds) / timed.flops,
      };
    }
  }
  return sum;
}

export async function runSynthetic(
  plan: SyntheticPlan,
  run: PlannedRun,
  watch: Pick<LearnOptions, 'signal' | 'onStep'>,
): Promise<Learned> {
  const learner = learnerOf(plan, run);
  try {
    const { epochs, warmup, stop } = plan;
    const learned = await learn(learner, { epochs, warmup, stop, rate: run.rate, ...watch });
    const lengths: Record<string, number> = {};
    for (const task of run.longer) {
      const { accuracy, groups } = await learner.testOn(task);
      lengths[`length ${task.length}`] = accuracy;
      for (const [group, share] of Object.entries(groups)) lengths[`length ${task.length}, ${group}`] = share;
    }
    return { ...learned, lengths };
  } finally {
    learner.dispose();
  }
}

export interface SyntheticSummary {
  readonly runs: readonly {
    readonly model: string;
    readonly task: string;
    readonly rate: number;
    readonly decay: number;
    readonly seed: number;
    readonly result: Learned;
  }[];
  /** Per model, where the runs are a protocol: the best macro accuracy of each setting, averaged. */
  readonly protocol: readonly (ReturnType<typeof protocolScore> & { readonly model: string })[];
}

export function summarize(plan: SyntheticPlan, found: ReadonlyMap<string, Learned>): SyntheticSummary {
  const runs = plan.runs.flatMap((run) => {
    const result = found.get(runKey(run, plan));
    return result ? [{ run, result }] : [];
  });
  const models = [...new Set(runs.map(({ run }) => run.model.name))];
  const protocol = !plan.protocol
    ? []
    : models.map((model) => {
        const best = new Map<string, SettingScore>();
        for (const { run, result } of runs.filter((one) => one.run.model.name === model)) {
          const score = Math.max(result.macro, best.get(run.task.name)?.score ?? 0);
          best.set(run.task.name, { task: run.kind, score });
        }
        return { model, ...protocolScore([...best.values()]) };
      });
  return {
    runs: runs.map(({ run: { model, task, rate, decay, seed }, result }) => ({
      model: model.name,
      task: task.name,
      rate,
      decay,
      seed,
      result,
    })),
    protocol,
  };
}
