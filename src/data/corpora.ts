/**
 * Where the text comes from, as documents of bytes, and which of it validates.
 *
 * A text file is one document unless it holds separators: a form feed, or the mark `<|endoftext|>`; each then begins a
 * new document. Validation takes every n-th document, spread over the whole corpus, because corpora are often sorted
 * (the Brown corpus by genre), so that a tail would be another kind of text.
 */
import { readFileSync } from 'node:fs';
import { BraidError } from '../graph/index.ts';
import { readBrown } from './brown.ts';
import { nextSeparator } from './sources/text.ts';

export interface Corpus {
  readonly name: string;
  readonly documents: readonly Uint8Array[];
}

export interface SplitCorpus {
  readonly train: readonly Uint8Array[];
  readonly validation: readonly Uint8Array[];
}

/** Tab, line feed, vertical tab, carriage return, space. */
const WHITE_SPACE = [9, 10, 11, 13, 32];
/** Texts with fewer documents than that split needs are first cut into this many pieces. */
const PIECES = 100;

/** Bytes of the pieces that a text of `total` bytes with too few documents is cut into, of which every n-th validates. */
export function pieceBytes(total: number, every: number): number {
  return Math.max(1, Math.floor(total / Math.max(PIECES, every)));
}

export function brownCorpus(): Corpus {
  return { name: 'brown', documents: readBrown().map((text) => Buffer.from(text)) };
}

/** Reads plain text files. A missing, unreadable or empty one is an error that names it. */
export function textCorpus(paths: readonly string[]): Corpus {
  if (paths.length === 0) throw new BraidError('data', 'No text file is given. Give one with --text FILE.');
  const documents = paths.flatMap((path) => {
    const found = cutDocuments(readText(path));
    if (found.length === 0) {
      throw new BraidError('data', `The text '${path}' is empty. Give a file with text in it.`);
    }
    return found;
  });
  return { name: paths.join(', '), documents };
}

function readText(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code;
    const what =
      reason === 'ENOENT'
        ? 'does not exist'
        : reason === 'EISDIR'
          ? 'is a folder, not a file'
          : `cannot be read (${reason ?? String(cause)})`;
    throw new BraidError('data', `The text '${path}' ${what}. Give the path of a plain text file.`, {
      cause,
    });
  }
}

/** Nothing but white space is no document. */
export function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => WHITE_SPACE.includes(byte));
}

/** Cuts at separators. */
function cutDocuments(bytes: Buffer): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let begin = 0; begin <= bytes.length; ) {
    const next = nextSeparator(bytes, begin) ?? { at: bytes.length, length: 1 };
    const part = bytes.subarray(begin, next.at);
    if (!isBlank(part)) parts.push(part);
    begin = next.at + next.length;
  }
  return parts;
}

/**
 * Every `every`-th document validates. A corpus with fewer documents is first cut at line ends into about a hundred
 * pieces; every `every`-th of them validates, and the pieces between are joined again.
 */
export function splitCorpus(corpus: Corpus, every: number): SplitCorpus {
  if (corpus.documents.length >= every) {
    return {
      train: corpus.documents.filter((_, index) => index % every !== every - 1),
      validation: corpus.documents.filter((_, index) => index % every === every - 1),
    };
  }
  const total = corpus.documents.reduce((sum, document) => sum + document.length, 0);
  const target = pieceBytes(total, every);
  const train: Uint8Array[] = [];
  const validation: Uint8Array[] = [];
  let count = 0;
  for (const document of corpus.documents) {
    let begin = 0;
    for (let at = 0; at < document.length; ) {
      const end = lineEnd(document, at + target);
      count++;
      if (count % every === 0) {
        if (at > begin) train.push(document.subarray(begin, at));
        validation.push(document.subarray(at, end));
        begin = end;
      }
      at = end;
    }
    if (begin < document.length) train.push(document.subarray(begin));
  }
  return { train, validation };
}

/** How far the end of a line is looked for. */
export const lineReach = 4096;

/** The end of the line that holds position `at`; a very long line is cut at a space or, without one, where we stand. */
export function lineEnd(document: Uint8Array, at: number): number {
  if (at >= document.length) return document.length;
  const reach = Math.min(document.length, at + lineReach);
  for (const mark of [10, 32]) {
    const found = document.subarray(0, reach).indexOf(mark, at);
    if (found >= 0) return found + 1;
  }
  return at;
}
