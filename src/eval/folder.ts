/** A model in a Hugging Face folder, read straight into a store, without making a run of it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findTokenizer } from '../data/index.ts';
import { BraidError } from '../graph/index.ts';
import { openFolder } from '../models/index.ts';
import type { Executor } from '../runtime/index.ts';
import type { Precision } from '../train/index.ts';
import { beginningToken } from './beginning.ts';
import type { EvaluatedModel } from './model.ts';

export interface FolderSettings {
  readonly executor: Executor;
  readonly precision: Precision;
  /** Its name; by default the `tokenizer.json` of the folder. */
  readonly tokenizer?: string | undefined;
}

/** The caller disposes the store. A tokenizer with more tokens than the model is a `BraidError('config')`. */
export async function loadFolder(
  folder: string,
  { executor, precision, tokenizer: name }: FolderSettings,
): Promise<EvaluatedModel> {
  const opened = await openFolder(folder);
  const store = executor.createStore();
  try {
    const { config: model, parameters } = opened;
    const tokens = readTokenizer(folder, name, model.vocabulary);
    for (const { name, shape } of parameters) store.tensor(`parameter/${name}`, 'float32', shape);
    await opened.read((name) => {
      const data = store.find(`parameter/${name}`)?.data;
      if (data instanceof Float32Array || data instanceof Float64Array) return data;
      throw new BraidError('file', `'${folder}' holds '${name}', which is not a parameter of the model.`);
    });
    return { model, precision, threads: executor.threads, executor, store, ...tokens };
  } catch (error) {
    store.dispose();
    throw error;
  } finally {
    await opened.close();
  }
}

/** The tokenizer of the folder, or the one that is named, and the token that begins a text. */
function readTokenizer(
  folder: string,
  name: string | undefined,
  vocabulary: number,
): Pick<EvaluatedModel, 'tokenizer' | 'begin' | 'beginsContexts'> {
  const path = join(folder, 'tokenizer.json');
  const own = name === undefined && existsSync(path);
  const tokenizer = findTokenizer(own ? path : (name ?? 'none'));
  const added = own ? beginningToken(path) : undefined;
  const begin = added ?? tokenizer.separator;
  // A separator that the tokenizer's file does not have is one more than its tokens, and is not used when it begins no text.
  const used = added !== undefined && tokenizer.separator === tokenizer.vocabulary - 1 ? 1 : 0;
  if (vocabulary < tokenizer.vocabulary - used || begin >= vocabulary) {
    throw new BraidError(
      'config',
      `The tokenizer '${tokenizer.name}' has ${tokenizer.vocabulary} tokens, but the model in '${folder}' knows ` +
        `${vocabulary}: it was trained with another one. Name its own with --tokenizer.`,
    );
  }
  return { tokenizer, begin, beginsContexts: own ? added !== undefined : true };
}

/** What lm-evaluation-harness falls back to when a model does not say how long its sequences may be. */
const defaultLength = 2048;

/** Longest sequence of the model in the folder, found as lm-evaluation-harness finds it. */
export function folderLength(folder: string): number {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
  for (const key of ['n_positions', 'max_position_embeddings', 'n_ctx']) {
    const value = config[key];
    if (typeof value === 'number' && value > 0) return value;
  }
  return defaultLength;
}
