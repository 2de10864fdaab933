/** Which files an input names, what they hold and how they are packed. */
import { statSync } from 'node:fs';
import { extname, isAbsolute } from 'node:path';
import { globSync } from 'tinyglobby';
import { BraidError } from '../../graph/index.ts';
import { partialName } from '../../models/atomicFile.ts';

export const formats = ['text', 'jsonl', 'parquet', 'fasta'] as const;
export type Format = (typeof formats)[number];
export type Compression = 'none' | 'gzip' | 'zstd';

export interface InputFile {
  readonly path: string;
  readonly format: Format;
  readonly compression: Compression;
  /** Bytes on the disk. */
  readonly size: number;
  /** Milliseconds since 1970: an input that changed is not the one that was begun with. */
  readonly modified: number;
}

const compressions: Readonly<Record<string, Compression>> = {
  '.gz': 'gzip',
  '.gzip': 'gzip',
  '.zst': 'zstd',
  '.zstd': 'zstd',
};

const extensions: Readonly<Record<string, Format>> = {
  '.jsonl': 'jsonl',
  '.json': 'jsonl',
  '.ndjson': 'jsonl',
  '.parquet': 'parquet',
  '.fasta': 'fasta',
  '.fa': 'fasta',
  '.fna': 'fasta',
  '.ffn': 'fasta',
};

/**
 * The files that inputs name, each once: files as given, folders with everything below them (hidden files excepted), and
 * globs, both in the order of their names. What names no file is a `BraidError('data')`.
 */
export function findInputs(inputs: readonly string[], format?: Format): readonly InputFile[] {
  if (inputs.length === 0)
    throw new BraidError('data', 'No input is given. Name a file, a folder or a glob.');
  const paths = new Set(inputs.flatMap(expand));
  return [...paths].map((path) => describe(path, format));
}

function expand(input: string): readonly string[] {
  const found = statSync(input, { throwIfNoEntry: false });
  if (found?.isFile()) return [input];
  const files = found?.isDirectory()
    ? globSync('**/*', { cwd: input, expandDirectories: false }).map(
        (name) => `${input.replace(/\/+$/, '')}/${name}`,
      )
    : globSync(input, { expandDirectories: false, absolute: isAbsolute(input) });
  const unfinished = files.find((file) => partialName('') === extname(file));
  if (unfinished !== undefined) {
    throw new BraidError(
      'data',
      `'${unfinished}' is not complete: loading it was interrupted. Finish that with the same command, or remove the file.`,
    );
  }
  if (files.length > 0) return files.sort();
  throw new BraidError(
    'data',
    found
      ? `The folder '${input}' has no files in it. Name a file, a folder with files or a glob.`
      : `The input '${input}' does not exist, and as a glob it matches no file. Check the path.`,
  );
}

function describe(path: string, format?: Format): InputFile {
  const outer = extname(path).toLowerCase();
  const compression = compressions[outer] ?? 'none';
  const inner = compression === 'none' ? outer : extname(path.slice(0, -outer.length)).toLowerCase();
  const found = format ?? extensions[inner] ?? 'text';
  if (found === 'parquet' && compression !== 'none') {
    throw new BraidError(
      'data',
      `'${path}': Parquet is read from any place of the file, which ${compression} does not allow; it compresses its ` +
        'columns itself. Unpack the file first.',
    );
  }
  const { size, mtimeMs } = statSync(path);
  return { path, format: found, compression, size, modified: Math.floor(mtimeMs) };
}
