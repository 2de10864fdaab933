/**
 * Several texts in given proportions. Which text the next row comes from is decided by what is owed: the one that lags furthest
 * behind its weight. The counts of rows so far are all there is to remember, and they stay within as many rows of the
 * weights as there are texts.
 */
import { BraidError } from '../graph/index.ts';
import type { TokenSource } from './packing.ts';

export interface WeightedSource {
  readonly source: TokenSource;
  /** Its share of the rows, relative to the others; more than 0. */
  readonly weight: number;
}

/** Texts one behind the other, which the loader draws rows from by their weights. */
export interface Mixture extends TokenSource {
  readonly parts: readonly WeightedSource[];
}

export function isMixture(source: TokenSource): source is Mixture {
  return 'parts' in source;
}

/** Texts of different tokenizers cannot be mixed: a `BraidError('data')`. */
export function mix(parts: readonly WeightedSource[]): Mixture {
  const [first] = parts;
  if (!first) throw new BraidError('data', 'A mixture needs at least one text.');
  const { separator } = first.source;
  for (const { source, weight } of parts) {
    if (!(weight > 0 && Number.isFinite(weight))) {
      throw new BraidError('data', `The weight of a text must be a number above 0; given ${weight}.`);
    }
    if (source.separator !== separator) {
      throw new BraidError(
        'data',
        `Texts of different tokenizers cannot be mixed: their separators are ${separator} and ${source.separator}.`,
      );
    }
  }
  // The closing separator of one text is the opening one of the next.
  const ends: number[] = [];
  for (const { source } of parts) ends.push((ends.at(-1) ?? 0) + source.count - 1);
  return {
    parts,
    separator,
    count: (ends.at(-1) ?? 0) + 1,
    bytes: parts.reduce((sum, { source }) => sum + source.bytes, 0),
    fingerprint: parts.map(({ source, weight }) => `${source.fingerprint}*${weight}`).join('+'),
    read(begin, count, into, at) {
      for (let done = 0; done < count; ) {
        const place = begin + done;
        const found = ends.findIndex((end) => place < end);
        const part = found < 0 ? parts.length - 1 : found;
        const start = part === 0 ? 0 : ends[part - 1];
        const room = part === parts.length - 1 ? count - done : Math.min(count - done, ends[part] - place);
        parts[part].source.read(place - start, room, into, at + done);
        done += room;
      }
    },
  };
}

/** The text of the next row, after `taken` rows of each: the first of those to which most is owed. */
export function nextPart(weights: readonly number[], taken: readonly number[]): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const next = taken.reduce((sum, count) => sum + count, 0) + 1;
  let chosen = 0;
  let most = Number.NEGATIVE_INFINITY;
  for (let part = 0; part < weights.length; part++) {
    const owed = (weights[part] / total) * next - taken[part];
    if (owed > most) {
      most = owed;
      chosen = part;
    }
  }
  return chosen;
}
