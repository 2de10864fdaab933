/**
 * A comparison: several models trained alike, one after the other, each as a run of its own in the comparison's folder.
 * A run that was finished before is read, one that was interrupted goes on.
 */
import { join } from 'node:path';
import { loadText, type Text } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import type { ModelConfig } from '../models/index.ts';
import { planModel } from '../models/plan.ts';
import type { Executor } from '../runtime/index.ts';
import type { FrozenRunConfig, Run, RunConfig, StepMetrics } from '../train/index.ts';
import {
  createRun,
  describeEnvironment,
  freeze,
  isRun,
  openRun,
  resume,
  tokensPerStep,
  trainRun,
  writeEnvironment,
} from '../train/index.ts';
import { peakMemory, resetPeakMemory } from './memory.ts';
import { betterPeak, measurePeak } from './peak.ts';
import type { Comparison, ModelResult } from './results.ts';
import { isaOf, openExecutor, openSession, type Session } from './session.ts';
import { quantile, spread } from './statistics.ts';

/** A model's figures before the peak is known for good. */
export type Measured = Omit<ModelResult, 'mfu'>;

export interface CompareOptions {
  /** One configuration per model: the same data and training for all, and their own models. */
  readonly configs: readonly RunConfig[];
  readonly equal: 'tokens' | 'flops';
  readonly folder: string;
  readonly signal?: AbortSignal;
  readonly onStep?: (model: string, metrics: StepMetrics, steps: number) => void;
  readonly onModel?: (result: Measured) => void;
  readonly warn: (message: string) => void;
}

/** Trains all models and returns the figures; throws `BraidError('interrupted')` after saving when aborted. */
export async function compareModels(options: CompareOptions): Promise<Comparison> {
  const [first] = options.configs;
  if (!first) throw new BraidError('usage', 'Name at least one model to compare.');
  const { executor, machine } = openExecutor(first.train);
  const text = loadText(first.data);
  const frozen = equalize(
    options.configs.map((config) => freeze(config, machine)),
    options.equal,
  );
  const { precision, seed, batch, length } = frozen[0].train;
  const peakOptions = { precision: precision === 'bfloat16' ? 'bfloat16' : 'float32' } as const;
  const before = await measurePeak(executor, peakOptions);
  const models: Measured[] = [];
  for (const config of frozen) {
    const result = await trainModel(config, executor, text, options);
    models.push(result);
    options.onModel?.(result);
  }
  const peak = betterPeak(before, await measurePeak(executor, peakOptions));
  return {
    version: 1,
    created: new Date().toISOString(),
    equal: options.equal,
    seed,
    batch,
    length,
    data: { name: text.name, trainingBytes: text.train.bytes, validationBytes: text.validation.bytes },
    environment: { ...describeEnvironment(executor, precision, isaOf(executor)) },
    peak,
    models: models.map((model) => ({ ...model, mfu: model.flopsPerSecond / peak.flopsPerSecond })),
  };
}

/** Gives every model as many steps as bring it to the same tokens, or nearest to the FLOPs of the first. */
export function equalize(configs: readonly FrozenRunConfig[], equal: 'tokens' | 'flops'): FrozenRunConfig[] {
  if (equal === 'tokens') return [...configs];
  const perStep = configs.map(
    ({ model, train }) =>
      planModel(model, { length: train.length }).flopsPerToken.training * tokensPerStep(train),
  );
  const budget = perStep[0] * configs[0].train.steps;
  return configs.map((config, index) => ({
    ...config,
    train: { ...config.train, steps: Math.max(1, Math.round(budget / perStep[index])) },
  }));
}

async function trainModel(
  config: FrozenRunConfig,
  executor: Executor,
  text: Text,
  options: CompareOptions,
): Promise<Measured> {
  const name = config.model.name ?? 'model';
  const run = await openOrCreate(join(options.folder, name), config);
  const counted = resetPeakMemory();
  const session = openSession(run.config, executor, text);
  try {
    await resume(run, session.trainer, options.warn);
    await writeEnvironment(
      run.folder,
      describeEnvironment(executor, run.config.train.precision, isaOf(executor)),
    );
    const outcome = await trainRun(run, session.trainer, {
      ...(options.signal ? { signal: options.signal } : {}),
      validate: () => session.validate(),
      onStep: (metrics) => options.onStep?.(name, metrics, run.config.train.steps),
    });
    if (outcome.end !== 'finished') {
      throw new BraidError(
        'interrupted',
        `Stopped in '${name}' at step ${outcome.step}. The same command goes on from there.`,
      );
    }
    return summarize(run, session, counted ? peakMemory() : null);
  } finally {
    session.dispose();
  }
}

/** A comparison that is started again must be the same one: other settings are an error, not a mixture. */
async function openOrCreate(folder: string, config: FrozenRunConfig): Promise<Run> {
  if (!isRun(folder)) return createRun(folder, config);
  const run = openRun(folder);
  const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
  if (!same(run.config.train, config.train) || !same(settings(run.config.model), settings(config.model))) {
    throw new BraidError(
      'usage',
      `'${folder}' holds a run with other settings. Choose another folder with --out, or remove that one.`,
    );
  }
  return run;
}

/** Key order does not matter, nor do values that are not set. */
function settings(model: ModelConfig): unknown {
  return Object.entries(JSON.parse(JSON.stringify(model)) as Record<string, unknown>).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
}

async function summarize(run: Run, session: Session, peakMemoryBytes: number | null): Promise<Measured> {
  const { model, train } = run.config;
  const metrics = run.metrics.read();
  const last = metrics.at(-1);
  if (!last) throw new BraidError('data', `The run '${run.folder}' has no steps to compare.`);
  const plan = planModel(model, { length: train.length });
  const tokens = tokensPerStep(train);
  // The first steps touch fresh memory and are not typical.
  const typical = metrics.slice(Math.min(2, metrics.length - 1));
  const stepSeconds = spread(typical.map(({ tokensPerSecond }) => tokens / tokensPerSecond));
  const balances = typical.flatMap(({ laneBalance }) => (laneBalance === undefined ? [] : [laneBalance]));
  const tail = metrics.slice(-Math.max(1, Math.round(metrics.length / 10)));
  const validation = last.validation ?? (await session.validate());
  return {
    name: model.name ?? 'model',
    pattern: model.pattern ?? 'layers',
    strategies: plan.blocks.map(({ strategy }) => strategy),
    parameters: plan.parameters,
    flopsPerToken: plan.flopsPerToken,
    tokensSeen: last.tokens,
    flopsSeen: last.flops,
    steps: last.step,
    trainingSeconds: last.seconds,
    tokensPerSecond: tokens / stepSeconds.median,
    stepSeconds,
    flopsPerSecond: session.trainer.programs.flopsPerStep / stepSeconds.median,
    laneBalance: balances.length > 0 ? quantile(balances, 0.5) : null,
    peakMemoryBytes,
    trainingLoss: tail.reduce((sum, { loss }) => sum + loss, 0) / tail.length,
    validationBitsPerByte: validation.bitsPerByte,
    curve: metrics.map((one) => ({
      step: one.step,
      tokens: one.tokens,
      flops: one.flops,
      seconds: one.seconds,
      loss: one.loss,
    })),
  };
}
