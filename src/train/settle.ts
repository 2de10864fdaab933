/**
 * What a configuration leaves to measurement: `routing.balance: time` and `train.lanes: auto`. Measured once for a machine,
 * version, model, length and batch, kept in the user's cache, and frozen into the run, so that resuming repeats the bits.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomically } from '../models/atomicFile.ts';
import type { ModelConfig } from '../models/config.ts';
import type { Executor } from '../runtime/executor.ts';
import type { FrozenRunConfig, FrozenTrainConfig, MachineDefaults, RunConfig } from './config.ts';
import { freeze } from './config.ts';
import { describeEnvironment } from './environment.ts';
import { makeFolder } from './folder.ts';
import { type MeasuredBalance, measureBalance, needsMeasuredBalance, withRatio } from './measuredBalance.ts';
import { type MeasuredLanes, measureLanes } from './measuredLanes.ts';

export interface SettleOptions {
  readonly executor: Executor;
  readonly machine: MachineDefaults;
  /** Told what was chosen, and from which figures. */
  readonly tell: (message: string) => void;
  /** Folder of earlier measurements. Default: `braid` in the cache folder of the user. */
  readonly cache?: string;
}

/** Freezes a configuration, measuring what it leaves open. Lanes are chosen first: the balance depends on them. */
export async function settle(config: RunConfig, options: SettleOptions): Promise<FrozenRunConfig> {
  const { machine } = options;
  const { lanes } = config.train;
  const frozen = freeze(config, { ...machine, lanes: lanes === true });
  if (lanes !== 'auto') return balanced(frozen, options);
  const inLanes = await balanced({ ...frozen, train: { ...frozen.train, lanes: true } }, options);
  const chosen = await remembered('lanes', inLanes, options, (model, train) =>
    measureLanes(model, train, options.executor),
  );
  options.tell(describeLanes(chosen));
  return chosen.lanes ? inLanes : balanced(frozen, options);
}

async function balanced(config: FrozenRunConfig, options: SettleOptions): Promise<FrozenRunConfig> {
  if (!needsMeasuredBalance(config.model)) return config;
  const measured = await remembered('balance', config, options, (model, train) =>
    measureBalance(model, train, options.executor),
  );
  options.tell(describeBalance(measured, config.train));
  return { ...config, model: withRatio(config.model, measured.ratio) };
}

function describeLanes({ lanes, off, on }: MeasuredLanes): string {
  if (on === 0) return 'Lanes: off, for no block has branches to put side by side on these threads.';
  const times = `${(on * 1e3).toFixed(1)} ms a step in lanes, ${(off * 1e3).toFixed(1)} ms without`;
  return `Lanes: ${lanes ? 'on' : 'off'} (measured: ${times}).`;
}

function describeBalance({ ratio, evenness, measured }: MeasuredBalance, train: FrozenTrainConfig): string {
  const [{ first, second }] = measured;
  const times = `${(first * 1e3).toFixed(1)} and ${(second * 1e3).toFixed(1)} ms`;
  return (
    `Balance by time: ${(100 * ratio).toFixed(1)} % of ${train.length} tokens to the first branch ` +
    `(measured: ${times}, evenness ${evenness.toFixed(3)}).`
  );
}

/** The earlier measurement of the same thing on the same machine, or a new one, which is kept. */
async function remembered<Result>(
  kind: string,
  { model, train }: FrozenRunConfig,
  { executor, cache = userCache() }: SettleOptions,
  measure: (model: ModelConfig, train: FrozenTrainConfig) => Promise<Result>,
): Promise<Result> {
  const path = join(cache, `${kind}-${fingerprintOf(model, train, executor)}.json`);
  const known = read<Result>(path);
  if (known !== undefined) return known;
  const result = await measure(model, train);
  makeFolder(cache);
  const text = `${JSON.stringify(result, null, 2)}\n`;
  await writeFileAtomically(path, (file) => file.write(Buffer.from(text)));
  return result;
}

function userCache(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'braid');
}

/** Everything that the time of a step depends on; a name and the weights do not. */
function fingerprintOf(model: ModelConfig, train: FrozenTrainConfig, executor: Executor): string {
  const { name: _, ...architecture } = model;
  const { batch, length, accumulation, precision, threads, lanes, recompute, lossChunk } = train;
  const isa = 'isa' in executor ? String(executor.isa) : undefined;
  // Another version, or a working folder at another revision, may have other kernels.
  const { braid, git, cpu, cores, executor: name } = describeEnvironment(executor, precision, isa);
  const what = {
    machine: { cpu, cores, name, isa },
    version: { braid, git },
    train: { batch, length, accumulation, precision, threads, lanes, recompute, lossChunk },
    architecture,
  };
  return createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 24);
}

/** A damaged file is measured again and written over: it holds nothing that cannot be had anew. */
function read<Result>(path: string): Result | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Result;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
