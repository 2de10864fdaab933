/**
 * How sure a comparison is. What varies is the text that a model is measured on (documents) and the chance in training
 * (seeds: initial weights and order of the text). Both are resampled: documents and seeds are drawn with replacement,
 * n − 1 of n, which makes the variance of the replicates that of the mean (Rao and Wu, "Resampling inference with complex
 * survey data", JASA 1988). All models share a draw, so that a difference between two is that on the same documents and
 * seeds. Few seeds have few degrees of freedom: intervals and p values use Student's t with those of Satterthwaite ("An
 * approximate distribution of estimates of variance components", Biometrics 1946).
 */
import jstat from 'jstat';
import { BraidError } from '../graph/index.ts';
import { randomStream } from '../nn/index.ts';

/** What one model lost on the documents, in nats, for each seed: `nats[seed][document]`. */
export type Losses = readonly (readonly number[])[];

export interface Estimate {
  /** Bits per byte over all documents, mean of the seeds. */
  readonly value: number;
  /** 95 % interval. */
  readonly low: number;
  readonly high: number;
}

export interface Difference {
  readonly first: number;
  readonly second: number;
  /** First minus second, in bits per byte. */
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Two-sided, of no difference; `adjusted` holds for all pairs together (Holm). */
  readonly p: number;
  readonly adjusted: number;
}

export interface Uncertainty {
  readonly estimates: readonly Estimate[];
  readonly differences: readonly Difference[];
}

const replicates = 2000;

/**
 * @param models the losses of each model; all on the same seeds and documents
 * @param bytes bytes of each document
 */
export function uncertainty(models: readonly Losses[], bytes: readonly number[], seed = 1): Uncertainty {
  const seeds = models[0]?.length ?? 0;
  checkShapes(models, bytes, seeds);
  const even = (count: number) => new Array<number>(count).fill(1 / count);
  const perSeed = models.map((losses) => losses.map((nats) => bitsPerByte(nats, bytes, even(bytes.length))));
  const draws = drawAll(models, bytes, seeds, seed);
  const spreadOf = (combine: (values: readonly number[]) => number): Spread => {
    const bySeed = even(seeds).map((_, index) => combine(perSeed.map((values) => values[index])));
    return spread({
      value: mean(bySeed),
      joint: draws.map(({ joint }) => combine(joint)),
      documents: draws.map(({ documentsOnly }) => combine(documentsOnly)),
      bySeed,
      documentCount: bytes.length,
    });
  };
  const estimates = models.map((_, index) => {
    const { value, half } = spreadOf((values) => values[index]);
    return { value, low: value - half, high: value + half };
  });
  const pairs = models.flatMap((_, first) => models.slice(first + 1).map((_, at) => [first, first + 1 + at]));
  const differences = pairs.map(([first, second]) => {
    const { value, half, p } = spreadOf((values) => values[first] - values[second]);
    return { first, second, value, low: value - half, high: value + half, p };
  });
  const adjusted = holm(differences.map(({ p }) => p));
  return {
    estimates,
    differences: differences.map((difference, index) => ({ ...difference, adjusted: adjusted[index] })),
  };
}

function checkShapes(models: readonly Losses[], bytes: readonly number[], seeds: number): void {
  if (bytes.length < 2) {
    throw new BraidError(
      'data',
      `Validation has ${bytes.length} document(s); at least 2 are needed to say how sure a comparison is. ` +
        'Give a longer text, or a smaller data.validateEvery.',
    );
  }
  for (const losses of models) {
    if (losses.length === seeds && losses.every((nats) => nats.length === bytes.length)) continue;
    throw new BraidError(
      'data',
      'The models of a comparison were not measured on the same seeds and documents.',
    );
  }
}

/** Weighted by document; weights need not sum to anything. */
function bitsPerByte(nats: readonly number[], bytes: readonly number[], weights: readonly number[]): number {
  let lost = 0;
  let size = 0;
  for (let d = 0; d < bytes.length; d++) {
    lost += weights[d] * nats[d];
    size += weights[d] * bytes[d];
  }
  return lost / size / Math.LN2;
}

interface Draw {
  /** Bits per byte of each model on drawn documents and seeds, and on drawn documents with all seeds. */
  readonly joint: readonly number[];
  readonly documentsOnly: readonly number[];
}

function drawAll(models: readonly Losses[], bytes: readonly number[], seeds: number, seed: number): Draw[] {
  const random = randomStream(seed, 'bootstrap');
  let used = 0;
  /** How often each of `count` things is drawn, count − 1 times in all; the only one always. */
  const multiplicities = (count: number): number[] => {
    const drawn = new Array<number>(count).fill(0);
    if (count === 1) return [1];
    for (let i = 1; i < count; i++) drawn[Math.floor(random.uniform(used++) * count)]++;
    return drawn;
  };
  return Array.from({ length: replicates }, () => {
    const documents = multiplicities(bytes.length);
    const chosen = multiplicities(seeds);
    const total = chosen.reduce((sum, times) => sum + times, 0);
    const values = models.map((losses) => losses.map((nats) => bitsPerByte(nats, bytes, documents)));
    return {
      joint: values.map((row) => row.reduce((sum, value, index) => sum + value * chosen[index], 0) / total),
      documentsOnly: values.map(mean),
    };
  });
}

interface Spread {
  readonly value: number;
  /** Half the width of the 95 % interval. */
  readonly half: number;
  readonly p: number;
}

interface Replicates {
  readonly value: number;
  readonly joint: readonly number[];
  readonly documents: readonly number[];
  readonly bySeed: readonly number[];
  readonly documentCount: number;
}

function spread({ value, joint, documents, bySeed, documentCount }: Replicates): Spread {
  const error = Math.sqrt(variance(joint));
  // Models that are alike to the last bit differ by nothing, surely.
  if (error === 0) return { value, half: 0, p: value === 0 ? 1 : 0 };
  const ofDocuments = variance(documents);
  const ofSeeds = bySeed.length > 1 ? variance(bySeed) / bySeed.length : 0;
  const seedTerm = bySeed.length > 1 ? ofSeeds ** 2 / (bySeed.length - 1) : 0;
  const freedom = (ofDocuments + ofSeeds) ** 2 / (ofDocuments ** 2 / (documentCount - 1) + seedTerm);
  const { studentt } = jstat.jStat;
  return {
    value,
    half: error * studentt.inv(0.975, freedom),
    p: Math.min(1, 2 * studentt.cdf(-Math.abs(value) / error, freedom)),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function variance(values: readonly number[]): number {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
}

/**
 * p values that hold for all tests together: Holm, "A simple sequentially rejective multiple test procedure", 1979.
 */
export function holm(values: readonly number[]): number[] {
  const order = values.map((_, index) => index).sort((a, b) => values[a] - values[b]);
  const adjusted = new Array<number>(values.length).fill(1);
  let least = 0;
  order.forEach((index, rank) => {
    least = Math.max(least, Math.min(1, (values.length - rank) * values[index]));
    adjusted[index] = least;
  });
  return adjusted;
}
