/** Segments become tokens, many at a time: the work that is done side by side. */
import { BraidError } from '../../graph/index.ts';
import type { Tokenizer } from '../tokenizer.ts';
import type { TokenWidth } from './format.ts';
import type { Segment } from './segments.ts';

export type TokenArray = Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** Segments one behind the other, in a form that can be handed to another thread. */
export interface Batch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly lengths: Uint32Array<ArrayBuffer>;
  /** 1: a document opens; 2: it validates. */
  readonly flags: Uint8Array<ArrayBuffer>;
}

export interface EncodedPart {
  readonly tokens: TokenArray;
  readonly documents: number;
  /** Bytes of text. */
  readonly bytes: number;
}

export interface EncodedBatch {
  readonly train: EncodedPart;
  readonly validation: EncodedPart;
}

const opensFlag = 1;
const validatesFlag = 2;

export function batchOf(segments: readonly Pick<Segment, 'bytes' | 'opens' | 'validates'>[]): Batch {
  const bytes = new Uint8Array(segments.reduce((sum, segment) => sum + segment.bytes.length, 0));
  let at = 0;
  for (const segment of segments) {
    bytes.set(segment.bytes, at);
    at += segment.bytes.length;
  }
  return {
    bytes,
    lengths: Uint32Array.from(segments, (segment) => segment.bytes.length),
    flags: Uint8Array.from(
      segments,
      ({ opens, validates }) => (opens ? opensFlag : 0) | (validates ? validatesFlag : 0),
    ),
  };
}

/** Encodes each segment by itself and puts a separator before each document. */
export function encodeBatch(
  { bytes, lengths, flags }: Batch,
  tokenizer: Tokenizer,
  width: TokenWidth,
): EncodedBatch {
  const parts = [new PartBuilder(width), new PartBuilder(width)];
  let at = 0;
  lengths.forEach((length, index) => {
    const text = bytes.subarray(at, at + length);
    at += length;
    const tokens = tokenizer.encode(text);
    if (tokens.includes(tokenizer.separator)) {
      throw new BraidError(
        'data',
        `The tokenizer '${tokenizer.name}' makes its separator, token ${tokenizer.separator}, out of plain text: documents ` +
          'could not be told apart. Use a tokenizer with a special token such as <|endoftext|>.',
      );
    }
    const part = parts[flags[index] & validatesFlag ? 1 : 0];
    part.add(tokens, length, flags[index] & opensFlag ? tokenizer.separator : undefined);
  });
  const [train, validation] = parts.map((part) => part.finish());
  return { train, validation };
}

class PartBuilder {
  readonly #width: TokenWidth;
  readonly #encoded: (Int32Array | number)[] = [];
  #count = 0;
  #documents = 0;
  #bytes = 0;

  constructor(width: TokenWidth) {
    this.#width = width;
  }

  add(tokens: Int32Array, bytes: number, separator: number | undefined): void {
    if (separator !== undefined) {
      this.#encoded.push(separator);
      this.#count++;
      this.#documents++;
    }
    this.#encoded.push(tokens);
    this.#count += tokens.length;
    this.#bytes += bytes;
  }

  finish(): EncodedPart {
    const tokens = tokenArray(this.#width, this.#count);
    let at = 0;
    for (const part of this.#encoded) {
      if (typeof part === 'number') {
        tokens[at++] = part;
      } else {
        tokens.set(part, at);
        at += part.length;
      }
    }
    return { tokens, documents: this.#documents, bytes: this.#bytes };
  }
}

export function tokenArray(width: TokenWidth, count: number): TokenArray {
  return width === 2 ? new Uint16Array(count) : new Uint32Array(count);
}
