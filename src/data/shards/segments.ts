/**
 * Documents become segments: parts of bounded size that can be encoded by themselves, each either for training or for
 * validation. A document is a part and every n-th part validates. Where there are too few documents for that, they are cut at
 * line ends into parts of a given size first, as a text in memory is (data/corpora.ts).
 */
import { isBlank, lineEnd, lineReach } from '../corpora.ts';
import type { Piece } from '../sources/pieces.ts';
import type { Place } from './place.ts';
import { cutWindow, safeCut } from './safeCut.ts';

export interface Segment {
  readonly validates: boolean;
  /** A document begins: a separator goes before. */
  readonly opens: boolean;
  readonly bytes: Uint8Array;
  /** What comes after it begins here. */
  readonly next: Place;
}

export interface SegmentOptions {
  /** Every n-th part validates. */
  readonly validateEvery: number;
  /** Size of the parts that documents are cut into; absent: a document is a part. */
  readonly partBytes?: number;
  /** Longest segment, roughly. */
  readonly segmentBytes?: number;
}

export class Segmenter {
  readonly #options: SegmentOptions;
  readonly #limit: number;
  #place: Place;
  #held: Uint8Array = new Uint8Array(0);
  #skip: number;

  constructor(place: Place, options: SegmentOptions) {
    this.#place = place;
    this.#options = options;
    this.#limit = options.segmentBytes ?? 1024 * 1024;
    this.#skip = place.offset;
  }

  /** The segments that are certain once this piece of file number `file` is known. */
  *push(file: number, { record, bytes, last }: Piece): Generator<Segment, void, undefined> {
    if (file !== this.#place.file || record !== this.#place.record) {
      this.#place = { ...this.#place, file, record, offset: 0, joined: false };
    }
    const fresh = bytes.subarray(Math.min(this.#skip, bytes.length));
    this.#skip -= bytes.length - fresh.length;
    this.#held = this.#held.length === 0 ? fresh : Buffer.concat([this.#held, fresh]);
    if (last && this.#place.offset === 0 && isBlank(this.#held)) {
      this.#held = new Uint8Array(0);
      return;
    }
    for (let cut = this.#cut(last); cut; cut = this.#cut(last)) yield this.#take(cut.at, cut.endsPart);
    // Bytes that wait must not be those of a buffer that is written to again.
    if (last) this.#skip = 0;
    else this.#held = this.#held.slice();
  }

  #cut(last: boolean): { at: number; endsPart: boolean } | undefined {
    const held = this.#held;
    if (held.length === 0) return undefined;
    const end = this.#partEnd(last);
    if (end !== undefined && end <= this.#limit + cutWindow) return { at: end, endsPart: true };
    if (held.length < this.#limit + cutWindow + 2) return undefined;
    return { at: safeCut(held.subarray(0, this.#limit + cutWindow + 2), this.#limit), endsPart: false };
  }

  /** Where the part at hand ends, counted from the bytes that are held; undefined when later bytes decide that. */
  #partEnd(last: boolean): number | undefined {
    const { length } = this.#held;
    const { partBytes } = this.#options;
    if (partBytes === undefined) return last ? length : undefined;
    const wanted = partBytes - this.#place.inPart;
    if (!last && length < wanted + lineReach + 1) return undefined;
    return lineEnd(this.#held, Math.max(0, wanted));
  }

  #take(at: number, endsPart: boolean): Segment {
    const before = this.#place;
    const { validateEvery } = this.#options;
    const validates = before.parts % validateEvery === validateEvery - 1;
    const opens = before.inPart === 0 && (validates || !before.joined);
    this.#place = {
      ...before,
      offset: before.offset + at,
      parts: before.parts + (endsPart ? 1 : 0),
      inPart: endsPart ? 0 : before.inPart + at,
      joined: endsPart ? !validates : before.joined,
    };
    const bytes = this.#held.subarray(0, at);
    this.#held = this.#held.subarray(at);
    return { validates, opens, bytes, next: this.#place };
  }
}
