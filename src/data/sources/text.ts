/** Plain text: one document a file, or several between separators. */
import { byteStream } from './byteStream.ts';
import type { InputFile } from './files.ts';
import type { Piece, ReadOptions } from './pieces.ts';

/** Each begins a new document. */
export const separators = ['<|endoftext|>', '\f'] as const;
const longest = Math.max(...separators.map((mark) => mark.length));

export async function* textPieces(
  file: InputFile,
  { from, onRead }: ReadOptions,
): AsyncGenerator<Piece, void, undefined> {
  let record = from;
  let place = from;
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of byteStream(file, { from, onRead })) {
    held =
      held.length === 0
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
        : Buffer.concat([held, chunk]);
    for (let next = nextSeparator(held, 0); next; next = nextSeparator(held, 0)) {
      yield { record, bytes: held.subarray(0, next.at), last: true };
      place += next.at + next.length;
      record = place;
      held = held.subarray(next.at + next.length);
    }
    // A separator may begin in this chunk and end in the next.
    const sure = held.length - longest + 1;
    if (sure > 0) {
      yield { record, bytes: held.subarray(0, sure), last: false };
      place += sure;
      held = held.subarray(sure);
    }
  }
  yield { record, bytes: held, last: true };
}

/** The first separator at or after a place. */
export function nextSeparator(bytes: Buffer, from: number): { at: number; length: number } | undefined {
  let first: { at: number; length: number } | undefined;
  for (const mark of separators) {
    const at = bytes.indexOf(mark, from);
    if (at >= 0 && (!first || at < first.at)) first = { at, length: mark.length };
  }
  return first;
}
