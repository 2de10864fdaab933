/**
 * From files of text to shards of tokens, with as much memory for ten gigabytes as for ten megabytes. After each pair of
 * shards the manifest says how far it is: a preparation that was interrupted goes on from there and ends with the same bytes.
 */
import { copyFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BraidError } from '../../graph/index.ts';
import { fileError } from '../../models/atomicFile.ts';
import { lockFolder } from '../../models/folderLock.ts';
import { isBlank, pieceBytes } from '../corpora.ts';
import type { Format, InputFile } from '../sources/files.ts';
import { findInputs } from '../sources/files.ts';
import { pieces } from '../sources/pieces.ts';
import { findTokenizer, type Tokenizer } from '../tokenizer.ts';
import { batchOf, type EncodedBatch, tokenArray } from './encode.ts';
import type { Encoders } from './encoders.ts';
import { openEncoders } from './encoders.ts';
import { ShardWriter, widthFor } from './format.ts';
import {
  type Manifest,
  manifestFormat,
  readManifest,
  type ShardSettings,
  writeManifest,
} from './manifest.ts';
import { beginning, type Place } from './place.ts';
import { type Segment, Segmenter } from './segments.ts';

export interface PrepareOptions {
  /** Files, folders and globs. */
  readonly inputs: readonly string[];
  /** Where the shards go. */
  readonly folder: string;
  /** As `findTokenizer` takes it. */
  readonly tokenizer: string;
  /** Of all inputs; without it their names tell. */
  readonly format?: Format | undefined;
  /** Where JSON lines and Parquet keep the text; default `text`. */
  readonly field?: string | undefined;
  /** Every n-th document validates; default 100. */
  readonly validateEvery?: number | undefined;
  /** Training tokens in a shard; default 33 554 432. */
  readonly shardTokens?: number | undefined;
  /** Threads that encode; 0: this one. */
  readonly threads: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PrepareProgress) => void;
}

export interface PrepareProgress {
  /** Whether documents are counted (to see whether there are enough to validate with) or made into tokens. */
  readonly phase: 'counting' | 'encoding';
  /** Bytes read from the disk, and all of them. */
  readonly read: number;
  readonly total: number;
  /** Tokens of this call so far. */
  readonly tokens: number;
}

export interface Prepared {
  readonly manifest: Manifest;
  /** Shards that were there before. */
  readonly found: number;
}

const batchBytes = 256 * 1024;

/**
 * Prepares, goes on with what was begun, or finds that all is done. A folder with shards of other inputs, settings or another
 * tokenizer is a `BraidError('data')`; an abort is `BraidError('interrupted')` after the last complete shards were kept.
 */
export async function prepare(options: PrepareOptions): Promise<Prepared> {
  const files = findInputs(options.inputs, options.format);
  const tokenizer = findTokenizer(options.tokenizer);
  const settings: ShardSettings = {
    inputs: [...files],
    field: options.field ?? 'text',
    validateEvery: options.validateEvery ?? 100,
    shardTokens: options.shardTokens ?? 2 ** 25,
  };
  const before = readManifest(options.folder);
  if (before && !before.place) {
    requireSame(before, settings, tokenizer, options.folder);
    return { manifest: before, found: shardsOf(before) };
  }
  // An input without text is found before a folder is made.
  const counted = before ? undefined : await count(files, settings, options);
  const unlock = lockFolder(options.folder, {
    file: 'prepare.lock',
    name: 'preparation',
    advice: 'choose another folder',
  });
  try {
    return await goOn(files, settings, tokenizer, counted, options);
  } finally {
    unlock();
  }
}

function shardsOf({ shards }: Manifest): number {
  return shards.train.length + shards.validation.length;
}

/** With the folder to itself: what another process did in the meantime is seen first. */
async function goOn(
  files: readonly InputFile[],
  settings: ShardSettings,
  tokenizer: Tokenizer,
  counted: Counted | undefined,
  options: PrepareOptions,
): Promise<Prepared> {
  const begun = readManifest(options.folder);
  if (begun) requireSame(begun, settings, tokenizer, options.folder);
  const manifest =
    begun ?? (await begin(counted ?? (await count(files, settings, options)), settings, tokenizer, options));
  const found = shardsOf(manifest);
  if (!manifest.place) return { manifest, found };
  const encoders = openEncoders({ tokenizer: options.tokenizer, width: manifest.width }, options.threads);
  try {
    return { manifest: await new Preparation(manifest, files, encoders, options).run(), found };
  } finally {
    await encoders.close();
  }
}

async function begin(
  { documents, bytes }: Counted,
  settings: ShardSettings,
  tokenizer: Tokenizer,
  options: PrepareOptions,
): Promise<Manifest> {
  const few = documents < settings.validateEvery;
  const { folder } = options;
  try {
    const own = join(folder, tokenizerFile);
    if (tokenizer.file !== undefined && resolve(tokenizer.file) !== resolve(own))
      copyFileSync(tokenizer.file, own);
  } catch (error) {
    throw fileError('write', folder, error);
  }
  const { name, identity, vocabulary, separator } = tokenizer;
  const manifest: Manifest = {
    format: manifestFormat,
    tokenizer: {
      name,
      identity,
      vocabulary,
      separator,
      ...(tokenizer.file === undefined ? {} : { file: tokenizerFile }),
    },
    width: widthFor(vocabulary),
    settings,
    ...(few ? { partBytes: pieceBytes(bytes, settings.validateEvery) } : {}),
    shards: { train: [], validation: [] },
    place: beginning,
  };
  await writeManifest(folder, manifest);
  return manifest;
}

/** The name of a tokenizer's file among the shards that were made with it. */
export const tokenizerFile = 'tokenizer.json';

interface Counted {
  readonly documents: number;
  readonly bytes: number;
}

/** Documents until there are enough to validate with every n-th, and the bytes of those. */
async function count(
  files: readonly InputFile[],
  { field, validateEvery }: ShardSettings,
  { signal, onProgress }: PrepareOptions,
): Promise<Counted> {
  const meter = new Meter('counting', files, onProgress);
  let documents = 0;
  let bytes = 0;
  for (const file of files) {
    let blank = true;
    for await (const piece of pieces(file, { from: 0, field, onRead: (read) => meter.read(read) })) {
      interrupt(signal, 'Nothing was written yet.');
      meter.report(0);
      blank &&= isBlank(piece.bytes);
      bytes += piece.bytes.length;
      if (!piece.last) continue;
      if (!blank) documents++;
      blank = true;
      if (documents >= validateEvery) return { documents, bytes };
    }
  }
  if (documents > 0) return { documents, bytes };
  const names = files.map(({ path }) => `'${path}'`).join(', ');
  throw new BraidError('data', `There is no text in ${names}. Give files with text in them.`);
}

class Meter {
  readonly #phase: PrepareProgress['phase'];
  readonly #total: number;
  readonly #report: PrepareOptions['onProgress'];
  #read = 0;

  constructor(
    phase: PrepareProgress['phase'],
    files: readonly InputFile[],
    report: PrepareOptions['onProgress'],
    done = 0,
  ) {
    this.#phase = phase;
    this.#total = files.reduce((sum, { size }) => sum + size, 0);
    this.#report = report;
    this.#read = done;
  }

  read(bytes: number): void {
    this.#read += bytes;
  }

  report(tokens: number): void {
    this.#report?.({ phase: this.#phase, read: this.#read, total: this.#total, tokens });
  }
}

/** One pair of shards after the other. */
class Preparation {
  readonly #files: readonly InputFile[];
  readonly #encoders: Encoders;
  readonly #options: PrepareOptions;
  readonly #meter: Meter;
  #manifest: Manifest;
  #writers: { train: ShardWriter; validation: ShardWriter };
  #tokens = 0;

  constructor(manifest: Manifest, files: readonly InputFile[], encoders: Encoders, options: PrepareOptions) {
    this.#manifest = manifest;
    this.#files = files;
    this.#encoders = encoders;
    this.#options = options;
    const done = files.slice(0, manifest.place?.file ?? 0).reduce((sum, { size }) => sum + size, 0);
    this.#meter = new Meter('encoding', files, options.onProgress, done);
    this.#writers = this.#openWriters();
  }

  async run(): Promise<Manifest> {
    const pending: { next: Place; encoded: Promise<EncodedBatch> }[] = [];
    const finishOldest = async (): Promise<void> => {
      const oldest = pending.shift();
      if (oldest) await this.#write(await oldest.encoded, oldest.next);
    };
    try {
      for await (const segments of this.#batches()) {
        interrupt(this.#options.signal, 'The same command goes on from the last complete shard.');
        const encoded = this.#encoders.encode(batchOf(segments));
        // A failure is met when its turn comes; until then it must not count as unhandled.
        encoded.catch(() => undefined);
        pending.push({ next: segments[segments.length - 1].next, encoded });
        if (pending.length >= this.#encoders.depth) await finishOldest();
      }
      while (pending.length > 0) await finishOldest();
      return await this.#finish();
    } catch (error) {
      await Promise.all([this.#writers.train.discard(), this.#writers.validation.discard()]);
      throw error;
    }
  }

  /** Segments of about 256 KiB together; the first begins at the manifest's place. */
  async *#batches(): AsyncGenerator<readonly Segment[], void, undefined> {
    const { place = beginning, partBytes, settings } = this.#manifest;
    const { validateEvery, field } = settings;
    const segmenter = new Segmenter(place, { validateEvery, ...(partBytes ? { partBytes } : {}) });
    let waiting: Segment[] = [];
    let size = 0;
    for (let number = place.file; number < this.#files.length; number++) {
      const from = number === place.file ? place.record : 0;
      const onRead = (bytes: number): void => this.#meter.read(bytes);
      for await (const piece of pieces(this.#files[number], { from, field, onRead })) {
        for (const segment of segmenter.push(number, piece)) {
          waiting.push(segment);
          size += segment.bytes.length;
          if (size < batchBytes) continue;
          yield waiting;
          waiting = [];
          size = 0;
        }
      }
    }
    if (waiting.length > 0) yield waiting;
  }

  async #write({ train, validation }: EncodedBatch, next: Place): Promise<void> {
    await this.#writers.train.append(train);
    await this.#writers.validation.append(validation);
    this.#tokens += train.tokens.length + validation.tokens.length;
    this.#meter.report(this.#tokens);
    if (this.#writers.train.tokens >= this.#manifest.settings.shardTokens) await this.#closePair(next);
  }

  async #closePair(next: Place | undefined): Promise<void> {
    const { train, validation } = this.#manifest.shards;
    const closed = {
      train: await this.#writers.train.close(),
      validation: await this.#writers.validation.close(),
    };
    const { place: _, ...rest } = this.#manifest;
    this.#manifest = {
      ...rest,
      shards: {
        train: closed.train ? [...train, closed.train] : train,
        validation: closed.validation ? [...validation, closed.validation] : validation,
      },
      ...(next ? { place: next } : {}),
    };
    await writeManifest(this.#options.folder, this.#manifest);
    this.#writers = this.#openWriters();
  }

  #openWriters(): { train: ShardWriter; validation: ShardWriter } {
    const open = (split: 'train' | 'validation'): ShardWriter => {
      const number = String(this.#manifest.shards[split].length).padStart(5, '0');
      return new ShardWriter(this.#options.folder, `${split}-${number}.tokens`, this.#manifest.width);
    };
    return { train: open('train'), validation: open('validation') };
  }

  /** Ends both streams with a separator. */
  async #finish(): Promise<Manifest> {
    const { shards, settings, width, tokenizer } = this.#manifest;
    for (const split of ['train', 'validation'] as const) {
      if (shards[split].length === 0 && this.#writers[split].tokens === 0) {
        throw new BraidError(
          'data',
          `The text is too short to keep every ${settings.validateEvery}th part of it for validation. ` +
            'Give more text, or a smaller --validate-every.',
        );
      }
      const tokens = tokenArray(width, 1);
      tokens[0] = tokenizer.separator;
      await this.#writers[split].append({ tokens, documents: 0, bytes: 0 });
    }
    await this.#closePair(undefined);
    return this.#manifest;
  }
}

function interrupt(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw new BraidError('interrupted', `The preparation was stopped. ${what}`);
}

/** What was begun must be what is asked for now. */
function requireSame(begun: Manifest, settings: ShardSettings, tokenizer: Tokenizer, folder: string): void {
  const refuse = (what: string): never => {
    throw new BraidError(
      'data',
      `'${folder}' already holds shards, and ${what}. Give the same command to go on with them, or another folder.`,
    );
  };
  if (begun.tokenizer.identity !== tokenizer.identity) {
    refuse(`they were made with the tokenizer '${begun.tokenizer.name}', not with this '${tokenizer.name}'`);
  }
  const before = begun.settings;
  for (const key of ['field', 'validateEvery', 'shardTokens'] as const) {
    if (before[key] !== settings[key]) {
      refuse(`their setting ${key} was ${before[key]}, but now it is ${settings[key]}`);
    }
  }
  const changed = settings.inputs.find(
    (file, index) => JSON.stringify(file) !== JSON.stringify(before.inputs[index]),
  );
  if (changed) refuse(`the input '${changed.path}' is another one now, or was changed since`);
  if (before.inputs.length !== settings.inputs.length) {
    refuse(`they had ${before.inputs.length} input files, but now there are ${settings.inputs.length}`);
  }
}
