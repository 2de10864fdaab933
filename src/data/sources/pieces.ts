/** What readers of all formats give: documents, in pieces, with the place where each can be found again. */

import { fastaPieces } from './fasta.ts';
import type { Format, InputFile } from './files.ts';
import { jsonLinesPieces } from './jsonLines.ts';
import { parquetPieces } from './parquet.ts';
import { textPieces } from './text.ts';

export interface Piece {
  /** Where the document's record begins: a byte of the unpacked file, or the number of a row (Parquet). */
  readonly record: number;
  readonly bytes: Uint8Array;
  /** The document ends with this piece. */
  readonly last: boolean;
}

export interface ReadOptions {
  /** The record to begin with: one that a piece gave before, or 0. */
  readonly from: number;
  /** Where JSON lines and Parquet keep the text. */
  readonly field: string;
  readonly onRead: (bytes: number) => void;
}

type Reader = (file: InputFile, options: ReadOptions) => AsyncGenerator<Piece, void, undefined>;

const readers: Readonly<Record<Format, Reader>> = {
  text: textPieces,
  jsonl: jsonLinesPieces,
  parquet: parquetPieces,
  fasta: fastaPieces,
};

/** The documents of a file from a record on. */
export function pieces(file: InputFile, options: ReadOptions): AsyncGenerator<Piece, void, undefined> {
  return readers[file.format](file, options);
}
