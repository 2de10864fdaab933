/**
 * Where tensors come from: one safetensors file, or several with an index, seen as one set of names. Everything is checked
 * before the first value is read.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Shape } from '../../graph/index.ts';
import { BraidError, sameShape } from '../../graph/index.ts';
import { fileError } from '../atomicFile.ts';
import type { TensorEntry } from '../safetensors.ts';
import { SafetensorsFile } from '../safetensors.ts';
import type { MappedTensor } from './mapping.ts';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

interface Located {
  readonly file: SafetensorsFile;
  /** The name in the file. */
  readonly stored: string;
  readonly entry: TensorEntry;
}

export class TensorSource {
  /** The folder or file, for messages. */
  readonly path: string;
  readonly #files: readonly SafetensorsFile[];
  readonly #tensors: ReadonlyMap<string, Located>;

  private constructor(
    path: string,
    files: readonly SafetensorsFile[],
    tensors: ReadonlyMap<string, Located>,
  ) {
    this.path = path;
    this.#files = files;
    this.#tensors = tensors;
  }

  /** The tensors of an open file whose names begin with `prefix`, under the rest of their names. */
  static within(file: SafetensorsFile, prefix: string): TensorSource {
    const tensors = [...file.entries.values()]
      .filter((entry) => entry.name.startsWith(prefix))
      .map((entry) => [entry.name.slice(prefix.length), { file, stored: entry.name, entry }] as const);
    return new TensorSource(file.path, [], new Map(tensors));
  }

  /** Opens `model.safetensors` of a folder, or the files that its index lists. */
  static async open(folder: string): Promise<TensorSource> {
    const index = join(folder, INDEX);
    const single = join(folder, SINGLE);
    if (existsSync(single)) return TensorSource.#gather(folder, [single]);
    if (!existsSync(index)) throw noTensors(folder);
    const weights = readIndex(index);
    const names = [...new Set(weights.values())].sort();
    const source = await TensorSource.#gather(
      folder,
      names.map((name) => join(folder, name)),
    );
    try {
      source.#checkIndex(index, weights);
    } catch (error) {
      await source.close();
      throw error;
    }
    return source;
  }

  static async #gather(folder: string, paths: readonly string[]): Promise<TensorSource> {
    const files: SafetensorsFile[] = [];
    const tensors = new Map<string, Located>();
    try {
      for (const path of paths) {
        const file = await SafetensorsFile.open(path);
        files.push(file);
        for (const entry of file.entries.values()) {
          const known = tensors.get(entry.name);
          if (known) {
            throw new BraidError('file', `'${known.file.path}' and '${path}' both hold '${entry.name}'.`);
          }
          tensors.set(entry.name, { file, stored: entry.name, entry });
        }
      }
    } catch (error) {
      for (const file of files) await file.close();
      throw error;
    }
    return new TensorSource(folder, files, tensors);
  }

  #checkIndex(index: string, weights: ReadonlyMap<string, string>): void {
    for (const [name, file] of weights) {
      const found = this.#tensors.get(name)?.file;
      if (found && basename(found.path) === file) continue;
      throw new BraidError('file', `'${index}' says that '${name}' is in '${file}', where it is not.`);
    }
    const extra = [...this.#tensors].find(([name]) => !weights.has(name));
    if (extra) {
      throw new BraidError(
        'file',
        `'${extra[1].file.path}' holds '${extra[0]}', which '${index}' does not list.`,
      );
    }
  }

  get names(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  shape(name: string): Shape | undefined {
    return this.#tensors.get(name)?.entry.shape;
  }

  /** Every mapped tensor is here with its shape, in a type that can be read, and nothing else is. */
  check(tensors: readonly MappedTensor[], ignored?: RegExp): void {
    const wanted = new Set<string>();
    for (const { from, shape, copies } of tensors) {
      this.#checkOne(from, shape);
      wanted.add(from);
      for (const copy of copies) {
        wanted.add(copy);
        if (this.#tensors.has(copy)) this.#checkOne(copy, shape);
      }
    }
    const extra = this.names.filter((name) => !wanted.has(name) && ignored?.test(name) !== true);
    const [first] = extra;
    if (first === undefined) return;
    const located = this.#located(first);
    const others = extra.length > 1 ? `, and ${extra.length - 1} more such as '${extra.at(-1)}'` : '';
    throw new BraidError(
      'file',
      `'${located.file.path}' holds '${first}' [${located.entry.shape.join(', ')}]${others}, for which a model of this ` +
        'configuration has no place. Is the configuration that of these weights?',
    );
  }

  #checkOne(name: string, shape: Shape): void {
    const { file, entry } = this.#located(name, shape);
    if (!sameShape(entry.shape, shape)) {
      throw new BraidError(
        'file',
        `'${entry.name}' in '${file.path}' has the shape [${entry.shape.join(', ')}]; the configuration makes it ` +
          `[${shape.join(', ')}].`,
      );
    }
    if (!['F32', 'F16', 'BF16'].includes(entry.dtype)) {
      throw new BraidError(
        'file',
        `'${name}' in '${file.path}' is stored as ${entry.dtype}; F32, F16 and BF16 can be read.`,
      );
    }
  }

  #located(name: string, shape?: Shape): Located {
    const found = this.#tensors.get(name);
    if (found) return found;
    const expected = shape ? ` [${shape.join(', ')}]` : '';
    throw new BraidError(
      'file',
      `'${this.path}' has no tensor '${name}'${expected}, which the configuration asks for. It holds ` +
        `${this.#tensors.size} others.`,
    );
  }

  /** The values as float32; where copies are stored too, they must be the same. */
  async read(name: string, copies: readonly string[] = []): Promise<Float32Array> {
    const { file, stored } = this.#located(name);
    const values = await file.readFloat32(stored);
    for (const copy of copies) {
      const other = this.#tensors.get(copy);
      if (!other) continue;
      const again = await other.file.readFloat32(other.stored);
      const index = values.findIndex((value, at) => !Object.is(value, again[at]));
      if (index < 0) continue;
      throw new BraidError(
        'file',
        `'${copy}' in '${other.file.path}' must repeat '${name}', which the configuration ties to it; value ${index} is ` +
          `${again[index]} there and ${values[index]} here.`,
      );
    }
    return values;
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close();
  }
}

function noTensors(folder: string): BraidError {
  const pickled = listFiles(folder).find((name) => /\.(bin|pt|pth)$/.test(name));
  if (pickled === undefined)
    return new BraidError('file', `'${folder}' has neither '${SINGLE}' nor '${INDEX}'.`);
  return new BraidError(
    'file',
    `'${folder}' keeps its weights in '${pickled}', a pickle: loading one runs whatever code it carries, so Braid does not. ` +
      "Convert it where you trust it: load the model in Python and call save_pretrained(FOLDER), or use the 'safetensors' " +
      `package to write '${SINGLE}'.`,
  );
}

function listFiles(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw fileError('read', folder, error);
  }
}

/** Tensor names with the file that holds each. */
function readIndex(path: string): ReadonlyMap<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new BraidError('file', `'${path}' is not JSON: ${error.message}.`);
    throw fileError('read', path, error);
  }
  const map = (value as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Object.keys(map).length === 0) {
    throw new BraidError('file', `'${path}' has no 'weight_map' from tensor names to files.`);
  }
  const entries = Object.entries(map).map(([name, file]) => {
    // A file beside the index: a path could lead anywhere.
    if (typeof file === 'string' && file !== '' && basename(file) === file) return [name, file] as const;
    throw new BraidError(
      'file',
      `'${path}' puts '${name}' into ${JSON.stringify(file)}; a file name is expected.`,
    );
  });
  return new Map(entries);
}
