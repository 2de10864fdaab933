/** Where documents begin and end in packed rows, as the plain meanings of sequence operations ask for it. */
import type { Operand } from '../graph/index.ts';
import { optionalIntegers } from './sequence.ts';

export interface Documents {
  /** Whether positions `s` and `t` of a row are of one document. A negative `s` stands for what the state was made of. */
  same(row: number, s: number, t: number): boolean;
  /** Whether a document starts at position `t` of a row, so that nothing before it may be seen. */
  startsAfresh(row: number, t: number): boolean;
  /** The document numbers that the new states carry, [B]: those of the last positions, 0 without documents. */
  last(): Int32Array;
}

/** Reads `documents` [B, L] and the number `document` [B] of the state's document; both may be absent. */
export function readDocuments(
  [batch, length]: readonly [batch: number, length: number],
  documents: Operand | undefined,
  document: Operand | undefined,
): Documents {
  const numbers = optionalIntegers(documents, 'documents');
  const ofState = optionalIntegers(document, 'document');
  const same = (row: number, s: number, t: number): boolean => {
    if (!numbers) return true;
    const own = s < 0 ? ofState?.[row] : numbers[row * length + s];
    return own === numbers[row * length + t];
  };
  return {
    same,
    startsAfresh: (row, t) => !same(row, t - 1, t),
    last: () =>
      Int32Array.from({ length: batch }, (_, row) => (numbers ? numbers[(row + 1) * length - 1] : 0)),
  };
}
