/**
 * Choosing the next token from the logits: temperature, top-k, top-p (nucleus sampling, Holtzman et al. 2020). The
 * n-th choice of a seed uses the n-th random number of its stream, so the same seed gives the same text.
 */
import { BraidError } from '../graph/index.ts';
import { randomStream } from '../nn/random.ts';
import { weigh } from './weigh.ts';

export interface SamplingOptions {
  /** Divides the logits; 0 always takes the most likely token. */
  readonly temperature: number;
  /** Only the k most likely tokens; 0: all. */
  readonly topK: number;
  /** Only the most likely tokens that together reach this probability; 1: all. Applied after top-k. */
  readonly topP: number;
  readonly seed: number;
}

export const defaultSampling: SamplingOptions = { temperature: 0.8, topK: 0, topP: 1, seed: 1 };

export type Sampler = (logits: ArrayLike<number>, index: number) => number;

/** A function that chooses token number `index` of a text. Of tokens equally likely the lower number comes first. */
export function createSampler(options: SamplingOptions): Sampler {
  checkSampling(options);
  const { temperature, topK, topP, seed } = options;
  const stream = randomStream(seed, 'sample');
  // A vocabulary is long and is gone through for every token: plain loops over memory that is kept.
  let weights = new Float64Array(0);
  let sorted = new Float64Array(0);
  return (logits, index) => {
    const best = argmax(logits);
    if (temperature === 0 || topK === 1) return best;
    const { length } = logits;
    if (weights.length !== length) weights = new Float64Array(length);
    const total = weigh(logits, logits[best], temperature, weights);
    const uniform = stream.uniform(index);
    if (topK === 0 && topP === 1) return draw(weights, { total, least: 0, ties: length }, uniform);
    if (sorted.length !== length) sorted = new Float64Array(length);
    sorted.set(weights);
    const kept = topK > 0 ? largest(sorted, length, topK, () => 1) : length;
    const nucleus = topP < 1 ? largest(sorted, kept, topP * sum(sorted, kept), (weight) => weight) : kept;
    return draw(weights, describeKept(sorted, nucleus), uniform);
  };
}

/** Refuses what no sampler can do, a `BraidError` of usage that names the setting. */
export function checkSampling({ temperature, topK, topP, seed }: SamplingOptions): void {
  const fail = (name: string, given: number, allowed: string): never => {
    throw new BraidError('usage', `${name} is ${given}; it must be ${allowed}.`);
  };
  if (!(temperature >= 0 && Number.isFinite(temperature))) fail('temperature', temperature, '0 or more');
  if (!(Number.isInteger(topK) && topK >= 0)) fail('top-k', topK, 'a whole number, 0 for no limit');
  if (!(topP > 0 && topP <= 1)) fail('top-p', topP, 'above 0 and at most 1');
  if (!(Number.isSafeInteger(seed) && seed >= 0)) fail('seed', seed, 'a whole number of 0 or more');
}

function argmax(logits: ArrayLike<number>): number {
  let best = 0;
  for (let token = 0; token < logits.length; token++) {
    if (Number.isNaN(logits[token])) {
      throw new BraidError(
        'diverged',
        `The logit of token ${token} is not a number: the model's weights are damaged.`,
      );
    }
    if (logits[token] > logits[best]) best = token;
  }
  return best;
}

function sum(values: Float64Array, count: number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += values[i];
  return total;
}

/**
 * Moves the largest of the first `count` values to the front, as many as are needed until their measures add up to `goal`,
 * and returns how many that are. Takes time in proportion to `count`, as sorting would not.
 *   C. A. R. Hoare, Algorithm 65: Find, CACM 4 (1961), with sums in the place of ranks.
 */
function largest(
  values: Float64Array,
  count: number,
  goal: number,
  measure: (value: number) => number,
): number {
  let [begin, end, before] = [0, count, 0];
  while (begin < end) {
    const pivot = middle(values[begin], values[(begin + end) >> 1], values[end - 1]);
    // [begin, equal) is above the pivot, [equal, at) equal to it, [below, end) below it.
    let [equal, at, below, above] = [begin, begin, end, 0];
    while (at < below) {
      const value = values[at];
      if (value < pivot) {
        below--;
        values[at] = values[below];
        values[below] = value;
      } else {
        if (value > pivot) {
          values[at] = values[equal];
          values[equal] = value;
          equal++;
          above += measure(value);
        }
        at++;
      }
    }
    const missing = goal - before - above;
    if (missing <= 0 && equal > begin) {
      end = equal;
      continue;
    }
    const each = measure(pivot);
    if (missing <= each * (below - equal))
      return Math.min(below, equal + Math.max(1, Math.ceil(missing / each)));
    before += above + each * (below - equal);
    begin = below;
  }
  return end;
}

function middle(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

/** The tokens that may be drawn: their sum, the least of them, and how many weigh exactly as much as that one. */
interface Kept {
  readonly total: number;
  readonly least: number;
  readonly ties: number;
}

function describeKept(values: Float64Array, count: number): Kept {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) if (values[i] < least) least = values[i];
  let ties = 0;
  for (let i = 0; i < count; i++) if (values[i] === least) ties++;
  return { total: sum(values, count), least, ties };
}

/** Draws one of the kept tokens in proportion to its weight; of those that weigh as little as the least, the first. */
function draw(weights: Float64Array, { total: sumOfKept, least, ties }: Kept, uniform: number): number {
  const goal = uniform * sumOfKept;
  let [total, last, left] = [0, 0, ties];
  for (let token = 0; token < weights.length; token++) {
    const weight = weights[token];
    if (weight < least || (weight === least && left-- <= 0)) continue;
    total += weight;
    last = token;
    if (total > goal) return token;
  }
  return last;
}
