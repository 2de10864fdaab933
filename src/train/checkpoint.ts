/**
 * Checkpoints: everything a run needs to go on as if it had never stopped.
 *
 *     checkpoints/step-00000040/
 *       parameters.safetensors   the model
 *       optimizer.safetensors    AdamW's moments; absent when the weights came from elsewhere
 *       state.json               step, tokens, the loader's place, and the size of the two files
 *
 * Each file appears under its name only when it is complete and on the disk; `state.json` is written last and removed
 * first, so a folder with a state is a complete checkpoint, wherever the process was killed. BF16 copies of the weights
 * are not stored: they are made again from the parameters.
 */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { BraidError } from '../graph/index.ts';
import type { FileSystem } from '../models/atomicFile.ts';
import { fileError, nodeFileSystem, writeFileAtomically } from '../models/atomicFile.ts';
import type { SafetensorsType } from '../models/safetensors.ts';
import { SafetensorsFile, writeSafetensors } from '../models/safetensors.ts';
import type { StoredTensor } from '../runtime/executor.ts';
import { makeFolder } from './folder.ts';

const FORMAT = 'braid-checkpoint-1';
const STATE = 'state.json';
const FOLDER = /^step-(\d{8,})$/;

const progressSchema = z.strictObject({
  /** Optimizer steps done. */
  step: z.int().nonnegative(),
  /** Tokens seen. */
  tokens: z.number().nonnegative(),
  /** Seconds of training, over all sessions of the run. */
  seconds: z.number().nonnegative(),
  loader: z.strictObject({
    seed: z.number(),
    epoch: z.int().nonnegative(),
    index: z.int().nonnegative(),
    taken: z.array(z.int().nonnegative()).readonly().optional(),
  }),
  /** Fingerprint of the training text: a run goes on with the text it began with. Empty when it has seen none. */
  text: z.string(),
});

const stateSchema = z.strictObject({
  format: z.literal(FORMAT),
  progress: progressSchema,
  files: z.record(z.string(), z.int().nonnegative()),
});

/** Where a run stands. */
export type Progress = z.infer<typeof progressSchema>;

/** The persistent tensors of a run by the file that keeps them, each under its name in the store. */
export interface Persistent {
  readonly parameters: readonly StoredTensor[];
  readonly optimizer: readonly StoredTensor[];
}

export interface Checkpoint {
  readonly step: number;
  readonly folder: string;
  readonly progress: Progress;
  /** Which tensors it keeps. */
  readonly keeps: readonly string[];
}

type SavedTensors = Pick<Persistent, 'parameters'> & Partial<Persistent>;

export class CheckpointFolder {
  readonly path: string;
  readonly #files: FileSystem;
  /** Steps whose checkpoint could not be loaded: saving that step again replaces it. */
  readonly #rejected = new Set<number>();

  constructor(path: string, files: FileSystem = nodeFileSystem) {
    this.path = path;
    this.#files = files;
  }

  /** The complete checkpoints, newest first. What an interrupted save or removal left behind is not among them. */
  list(): readonly Checkpoint[] {
    return this.#steps()
      .map((step) => readState(this.#folder(step), step))
      .filter((checkpoint) => checkpoint !== undefined);
  }

  /**
   * Saves a checkpoint and then removes all but the `keep` newest. When saving fails, the older ones are untouched and
   * nothing of the new one remains. Parameters alone make the checkpoint of weights that were trained elsewhere.
   */
  async save(progress: Progress, tensors: SavedTensors, keep: number): Promise<Checkpoint> {
    const { step } = progress;
    const folder = this.#folder(step);
    const present = readState(folder, step);
    if (!present || this.#rejected.has(step)) {
      try {
        await this.#write(folder, progress, tensors);
      } catch (error) {
        tryDiscard(folder);
        throw fileError('write', folder, error);
      }
      this.#rejected.delete(step);
    }
    this.#sweep(keep);
    return { step, folder, progress, keeps: Object.keys(tensors) };
  }

  async #write(folder: string, progress: Progress, tensors: SavedTensors): Promise<void> {
    discard(folder);
    makeFolder(folder);
    const sizes: Record<string, number> = {};
    for (const [name, list] of Object.entries(tensors) as [string, readonly StoredTensor[]][]) {
      const file = `${name}.safetensors`;
      const entries = list.map((tensor) => ({
        name: plainName(tensor.key),
        dtype: storedType(tensor),
        shape: tensor.shape,
        data: tensor.data,
      }));
      await writeSafetensors(join(folder, file), entries, {
        metadata: { format: FORMAT, step: String(progress.step) },
        files: this.#files,
      });
      sizes[file] = statSync(join(folder, file)).size;
    }
    // The folder's own name must be on the disk before the state says that it is complete.
    await this.#files.syncFolder(this.path);
    const state = `${JSON.stringify({ format: FORMAT, progress, files: sizes }, null, 2)}\n`;
    await writeFileAtomically(join(folder, STATE), (file) => file.write(Buffer.from(state)), this.#files);
  }

  /**
   * Loads the newest checkpoint that is whole and fits the tensors, and tells `warn` of those it had to pass over.
   * Without `optimizer` only the parameters are read; where the checkpoint has none, they become zero.
   * `undefined` when there is none at all; an error when there are some but none can be used.
   */
  async load(tensors: Partial<Persistent>, warn: (message: string) => void): Promise<Checkpoint | undefined> {
    const reasons: string[] = [];
    for (const step of this.#steps()) {
      const folder = this.#folder(step);
      const checkpoint = readState(folder, step);
      // An interrupted save is no checkpoint; it says nothing about the older ones.
      if (!checkpoint && !isDamaged(folder)) continue;
      try {
        if (!checkpoint)
          throw new BraidError('checkpoint', `'${folder}' is incomplete or has a damaged ${STATE}.`);
        await readTensors(checkpoint, tensors);
        for (const reason of reasons) warn(`${reason} Going on from step ${step} instead.`);
        return checkpoint;
      } catch (error) {
        if (!(error instanceof BraidError)) throw error;
        this.#rejected.add(step);
        reasons.push(`The checkpoint of step ${step} cannot be used: ${error.message}`);
      }
    }
    if (reasons.length === 0) return undefined;
    throw new BraidError(
      'checkpoint',
      `No checkpoint in '${this.path}' can be used.\n${reasons.join('\n')}\n` +
        'Nothing was changed. Restore one from a copy, or start a new run in another folder.',
    );
  }

  #steps(): number[] {
    try {
      return readdirSync(this.path)
        .map((name) => Number(FOLDER.exec(name)?.[1] ?? Number.NaN))
        .filter((step) => !Number.isNaN(step))
        .sort((a, b) => b - a);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw fileError('read', this.path, error);
    }
  }

  #folder(step: number): string {
    return join(this.path, `step-${String(step).padStart(8, '0')}`);
  }

  /** Removes what is older than the `keep` newest complete checkpoints. A failure loses nothing and is left alone. */
  #sweep(keep: number): void {
    const oldest = this.list()[Math.max(1, keep) - 1];
    if (!oldest) return;
    for (const step of this.#steps()) {
      if (step >= oldest.step) continue;
      tryDiscard(this.#folder(step));
    }
  }
}

/** The state goes first, so that a removal that is interrupted leaves no folder that looks complete. */
function discard(folder: string): void {
  rmSync(join(folder, STATE), { force: true });
  rmSync(folder, { recursive: true, force: true });
}

/** What cannot be removed now is removed at the next save: a checkpoint too many is not worth stopping a run. */
function tryDiscard(folder: string): void {
  try {
    discard(folder);
  } catch {
    // The folder has no state or is a complete old checkpoint; both are harmless.
  }
}

/** The checkpoint in a folder when its state is there and its files have the sizes that the state says. */
function readState(folder: string, step: number): Checkpoint | undefined {
  try {
    const state = stateSchema.parse(JSON.parse(readFileSync(join(folder, STATE), 'utf8')));
    const files = Object.entries(state.files);
    const whole = files.every(([name, size]) => statSync(join(folder, name)).size === size);
    if (!whole || !('parameters.safetensors' in state.files) || state.progress.step !== step)
      return undefined;
    const keeps = files.map(([name]) => name.replace('.safetensors', ''));
    return { step, folder, progress: state.progress, keeps };
  } catch {
    return undefined;
  }
}

/** A state without the files it promises, or one that cannot be read, was complete once: somebody should know. */
function isDamaged(folder: string): boolean {
  return statSync(join(folder, STATE), { throwIfNoEntry: false }) !== undefined;
}

async function readTensors({ folder, keeps }: Checkpoint, tensors: Partial<Persistent>): Promise<void> {
  const opened: { file: SafetensorsFile; list: readonly StoredTensor[] }[] = [];
  const lists = Object.entries(tensors) as [string, readonly StoredTensor[]][];
  try {
    for (const [name, list] of lists) {
      if (!keeps.includes(name)) continue;
      const file = await SafetensorsFile.open(join(folder, `${name}.safetensors`));
      opened.push({ file, list });
      checkFit(file, list);
    }
    // Only when both files fit is the first value overwritten.
    for (const [, list] of lists.filter(([name]) => !keeps.includes(name))) {
      for (const { data } of list) data.fill(0);
    }
    for (const { file, list } of opened) {
      for (const tensor of list) await file.readInto(plainName(tensor.key), storedType(tensor), tensor.data);
    }
  } finally {
    for (const { file } of opened) await file.close();
  }
}

function checkFit(file: SafetensorsFile, list: readonly StoredTensor[]): void {
  const names = new Set(list.map((tensor) => plainName(tensor.key)));
  const foreign = [...file.entries.keys()].find((name) => !names.has(name));
  if (foreign !== undefined) {
    throw new BraidError(
      'checkpoint',
      `'${file.path}' belongs to another model: it holds '${foreign}', which this one does not have.`,
    );
  }
  for (const tensor of list) {
    const { dtype } = file.entry(plainName(tensor.key), tensor.shape);
    if (dtype !== storedType(tensor)) {
      throw new BraidError(
        'checkpoint',
        `'${file.path}' keeps '${plainName(tensor.key)}' as ${dtype}, the run needs ${storedType(tensor)}. ` +
          'It was saved at another precision; set train.precision to that of the checkpoint.',
      );
    }
  }
}

/** `parameter/embedding` → `embedding`: inside its file the role is known. */
function plainName(key: string): string {
  return key.slice(key.indexOf('/') + 1);
}

function storedType({ key, data }: StoredTensor): SafetensorsType {
  if (data instanceof Float32Array) return 'F32';
  if (data instanceof Float64Array) return 'F64';
  throw new BraidError('checkpoint', `'${key}' is not a float tensor and cannot be checkpointed.`);
}
