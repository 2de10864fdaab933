/**
 * FASTA: a line with `>` opens a sequence, which runs over lines to the next one. A sequence is a document: its letters as they
 * stand (lower case marks repeats), without line ends; the heading line is left out.
 */
import { BraidError } from '../../graph/index.ts';
import type { InputFile } from './files.ts';
import { lines } from './lines.ts';
import type { Piece, ReadOptions } from './pieces.ts';

const heading = '>'.charCodeAt(0);
const carriageReturn = 13;
/** Sequences are handed on in pieces of about this size: a chromosome has hundreds of megabytes. */
const pieceBytes = 1024 * 1024;

export async function* fastaPieces(
  file: InputFile,
  options: ReadOptions,
): AsyncGenerator<Piece, void, undefined> {
  let record: number | undefined;
  let parts: Uint8Array[] = [];
  let size = 0;
  const take = (last: boolean): Piece => {
    const piece = { record: record ?? 0, bytes: Buffer.concat(parts), last };
    parts = [];
    size = 0;
    return piece;
  };
  for await (const { place, bytes } of lines(file, options)) {
    const line = bytes.at(-1) === carriageReturn ? bytes.subarray(0, -1) : bytes;
    if (line[0] === heading) {
      if (record !== undefined) yield take(true);
      record = place;
      continue;
    }
    if (line.length === 0) continue;
    if (record === undefined) {
      throw new BraidError(
        'data',
        `'${file.path}' is not FASTA: a sequence stands before the first line that begins with '>'. ` +
          'Give --format text for plain text.',
      );
    }
    parts.push(line);
    size += line.length;
    if (size >= pieceBytes) yield take(false);
  }
  if (record !== undefined) yield take(true);
}
