/**
 * A run is a folder:
 *
 *     config.yaml        model, text and training in full, with everything measured or chosen frozen
 *     environment.json   versions, CPU, executor, precision, git revision of the last session
 *     metrics.jsonl      one line per step; validation figures stand in the line of their step
 *     checkpoints/       see checkpoint.ts
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { absoluteTokenizer, tokenizerOf } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import { fileError, writeFileAtomically } from '../models/atomicFile.ts';
import { readConfigText } from '../models/configText.ts';
import { lockFolder } from '../models/folderLock.ts';
import { CheckpointFolder } from './checkpoint.ts';
import type { DataConfig, FrozenRunConfig } from './config.ts';
import { asFrozen, parseRunConfig } from './config.ts';
import type { Environment } from './environment.ts';
import { makeFolder } from './folder.ts';
import { MetricsFile } from './metrics.ts';

const CONFIG = 'config.yaml';

export interface Run {
  readonly folder: string;
  readonly config: FrozenRunConfig;
  readonly checkpoints: CheckpointFolder;
  readonly metrics: MetricsFile;
}

/** Makes a run's folder and writes its configuration. A folder that holds a run already is an error. */
export async function createRun(folder: string, config: FrozenRunConfig): Promise<Run> {
  requireNoRun(folder);
  const absolute = { ...config, data: absoluteData(config.data) };
  const path = join(folder, CONFIG);
  makeFolder(folder);
  await writeFileAtomically(path, (file) => file.write(Buffer.from(stringify(absolute))));
  return opened(folder, absolute);
}

/** A run can be resumed from any working folder, and knows its tokenizer again. */
function absoluteData(data: DataConfig): DataConfig {
  const { text, shards } = data;
  return {
    ...data,
    text: text === 'brown' ? text : text.map((path) => resolve(path)),
    ...(shards === undefined
      ? {}
      : {
          shards:
            typeof shards === 'string'
              ? resolve(shards)
              : shards.map(({ folder, weight }) => ({ folder: resolve(folder), weight })),
        }),
    tokenizer: absoluteTokenizer(data.tokenizer),
    tokenizerIdentity: tokenizerOf(data).identity,
  };
}

/** A folder that holds a run is a `BraidError('usage')`. */
export function requireNoRun(folder: string): void {
  if (!isRun(folder)) return;
  throw new BraidError(
    'usage',
    `'${folder}' already holds a run. Continue it with --resume, or choose another folder.`,
  );
}

/** Opens a run's folder. */
export function openRun(folder: string): Run {
  const path = join(folder, CONFIG);
  if (!isRun(folder)) {
    throw new BraidError(
      'usage',
      `'${folder}' is not the folder of a run: it has no ${CONFIG}. Give the folder that 'braid train' printed.`,
    );
  }
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError('read', path, error);
  }
  const { value, locate } = readConfigText(text, path);
  return opened(folder, asFrozen(parseRunConfig(value, path, locate), path));
}

/**
 * Keeps others from training the run until the returned function is called: two that write one folder would spoil it.
 * A run that another process trains is a `BraidError('usage')`.
 */
export function lockRun({ folder }: Run): () => void {
  return lockFolder(folder, {
    file: 'train.lock',
    name: 'training',
    advice: 'give this one a folder of its own with --out',
  });
}

export function isRun(folder: string): boolean {
  return existsSync(join(folder, CONFIG));
}

function opened(folder: string, config: FrozenRunConfig): Run {
  return {
    folder,
    config,
    checkpoints: new CheckpointFolder(join(folder, 'checkpoints')),
    metrics: new MetricsFile(join(folder, 'metrics.jsonl')),
  };
}

/** Writes down on what the run is computed. */
export function writeEnvironment(folder: string, environment: Environment): Promise<void> {
  const text = `${JSON.stringify(environment, null, 2)}\n`;
  return writeFileAtomically(join(folder, 'environment.json'), (file) => file.write(Buffer.from(text)));
}
