/**
 * Choosing the next token from the logits: temperature, top-k, top-p (nucleus sampling, Holtzman et al. 2020). The
 * n-th choice of a seed uses the n-th random number of its stream, so the same seed gives the same text.
 */
import { BraidError } from '../graph/index.ts';
import { randomStream } from '../nn/random.ts';

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
  check(options);
  const { temperature, topK, topP, seed } = options;
  const stream = randomStream(seed, 'sample');
  return (logits, index) => {
    const best = argmax(logits);
    if (temperature === 0 || topK === 1) return best;
    const weights = Float64Array.from(logits, (logit) => Math.exp((logit - logits[best]) / temperature));
    const sorted = topK > 0 || topP < 1 ? weights.toSorted().reverse() : weights;
    const kept = topK > 0 ? Math.min(topK, sorted.length) : sorted.length;
    const total = sum(sorted, kept);
    const nucleus = topP < 1 ? reaching(sorted, kept, topP * total) : kept;
    return draw(weights, sorted, nucleus, stream.uniform(index));
  };
}

function check({ temperature, topK, topP, seed }: SamplingOptions): void {
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

/** How many of the first `count` values are needed to reach `goal`. */
function reaching(values: Float64Array, count: number, goal: number): number {
  let total = 0;
  for (let i = 0; i < count; i++) {
    total += values[i];
    if (total >= goal) return i + 1;
  }
  return count;
}

/** Draws one of the `count` largest weights in proportion to them. */
function draw(weights: Float64Array, sorted: Float64Array, count: number, uniform: number): number {
  const everything = count === weights.length;
  const threshold = everything ? 0 : sorted[count - 1];
  // Of the tokens that weigh exactly as much as the last one kept, only so many still fit.
  let ties = everything ? count : count - sorted.indexOf(threshold);
  const goal = uniform * sum(sorted, count);
  let total = 0;
  let last = 0;
  for (let token = 0; token < weights.length; token++) {
    if (weights[token] < threshold || (weights[token] === threshold && ties-- <= 0)) continue;
    total += weights[token];
    last = token;
    if (total > goal) return token;
  }
  return last;
}
