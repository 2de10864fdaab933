/** Parquet: one document a row, its text in one column. Row groups are read one at a time. */
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { BraidError } from '../../graph/index.ts';
import type { InputFile } from './files.ts';
import type { Piece, ReadOptions } from './pieces.ts';

export async function* parquetPieces(
  { path, size }: InputFile,
  { from, field, onRead }: ReadOptions,
): AsyncGenerator<Piece, void, undefined> {
  const file = await guarded(path, () => asyncBufferFromFile(path));
  const metadata = await guarded(path, () => parquetMetadataAsync(file));
  checkColumn(metadata, field, path);
  const rows = Number(metadata.num_rows);
  let begin = 0;
  for (const group of metadata.row_groups) {
    const end = begin + Number(group.num_rows);
    if (end > from) {
      const values = await guarded(path, () => readRows(file, metadata, field, begin, end));
      for (let row = Math.max(begin, from); row < end; row++) {
        yield {
          record: row,
          bytes: bytesOf(values[row - begin][field], field, `'${path}', row ${row}`),
          last: true,
        };
      }
    }
    onRead(Math.round((size * (end - begin)) / Math.max(1, rows)));
    begin = end;
  }
}

function readRows(
  file: AsyncBuffer,
  metadata: FileMetaData,
  field: string,
  rowStart: number,
  rowEnd: number,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return parquetReadObjects({ file, metadata, columns: [field], rowStart, rowEnd, compressors, utf8: true });
}

function checkColumn(metadata: FileMetaData, field: string, path: string): void {
  const [root, ...elements] = metadata.schema;
  const names: string[] = [];
  for (let at = 0; at < elements.length && names.length < (root?.num_children ?? 0); at++) {
    names.push(elements[at].name);
    at += descendants(elements, at);
  }
  if (names.includes(field)) return;
  throw new BraidError(
    'data',
    `'${path}' has no column '${field}'. It has ${names.map((name) => `'${name}'`).join(', ')}; ` +
      'name the one with the text by --field.',
  );
}

/** How many elements of a flattened schema lie below one of them. */
function descendants(elements: FileMetaData['schema'], at: number): number {
  let count = 0;
  for (let child = 0; child < (elements[at].num_children ?? 0); child++) {
    count += 1 + descendants(elements, at + count + 1);
  }
  return count;
}

function bytesOf(value: unknown, field: string, where: string): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value);
  if (value instanceof Uint8Array) return value;
  const found = value === null || value === undefined ? 'nothing' : `a ${typeof value}`;
  throw new BraidError(
    'data',
    `${where}: the column '${field}' holds ${found}, not text. Name another by --field.`,
  );
}

async function guarded<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof BraidError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BraidError(
      'data',
      `'${path}' cannot be read as Parquet (${reason}). It is damaged, incomplete or something else; fetch it again.`,
      { cause },
    );
  }
}
