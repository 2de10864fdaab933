/** The best size for a number of FLOPs: a parabola through the losses of several sizes (Hoffmann et al. 2022, approach 2). */
import { quantile } from '../bench/statistics.ts';
import { randomStream } from '../nn/index.ts';
import type { ComparisonResult, RowResult } from './results.ts';

export interface IsoFlop {
  readonly group: string;
  /** Spent by each of its models, mean. */
  readonly flops: number;
  /** Absent where the parabola has no minimum among the sizes. */
  readonly best?: {
    /** Parameters outside embedding and head, with the ends of the 95 % interval. */
    readonly parameters: number;
    readonly low: number;
    readonly high: number;
    readonly bitsPerByte: number;
  };
}

const draws = 1000;

/** One entry for each group of rows, three sizes at least. */
export function isoFlop({ rows }: Pick<ComparisonResult, 'rows'>): IsoFlop[] {
  const groups = [...new Set(rows.map(({ group }) => group))].sort();
  return groups.map((group) => {
    const own = rows.filter((row) => row.group === group);
    const flops = own.reduce((sum, { flopsSeen }) => sum + flopsSeen, 0) / own.length;
    const sizes = own.map(({ parameters }) => Math.log(parameters.nonEmbedding));
    const fit = minimum(
      sizes,
      own.map(({ bitsPerByte }) => bitsPerByte.value),
    );
    if (!fit) return { group, flops };
    const drawn = drawMinima(own, sizes);
    return {
      group,
      flops,
      best: {
        parameters: Math.exp(fit.at),
        low: Math.exp(quantile(drawn, 0.025)),
        high: Math.exp(quantile(drawn, 0.975)),
        bitsPerByte: fit.value,
      },
    };
  });
}

/** Minima of parabolas through losses drawn within their intervals; those without one count as the nearer end. */
function drawMinima(rows: readonly RowResult[], sizes: readonly number[]): number[] {
  const random = randomStream(1, 'isoFLOP');
  const [smallest, largest] = [Math.min(...sizes), Math.max(...sizes)];
  let used = 0;
  return Array.from({ length: draws }, () => {
    const losses = rows.map(({ bitsPerByte: { value, high } }) => {
      return value + ((high - value) / 1.96) * random.normal(used++);
    });
    const fit = minimum(sizes, losses);
    if (fit) return fit.at;
    return losses[sizes.indexOf(smallest)] < losses[sizes.indexOf(largest)] ? smallest : largest;
  });
}

interface Minimum {
  readonly at: number;
  readonly value: number;
}

/** The minimum of the least-squares parabola, where it has one between the smallest and the largest x. */
export function minimum(x: readonly number[], y: readonly number[]): Minimum | undefined {
  if (x.length < 3) return undefined;
  // Around the middle, so that the sums of powers stay small.
  const middle = x.reduce((sum, value) => sum + value, 0) / x.length;
  const u = x.map((value) => value - middle);
  const power = (k: number): number => u.reduce((sum, value) => sum + value ** k, 0);
  const moment = (k: number): number => u.reduce((sum, value, index) => sum + value ** k * y[index], 0);
  const [s0, s1, s2, s3, s4] = [0, 1, 2, 3, 4].map(power);
  const [t0, t1, t2] = [0, 1, 2].map(moment);
  const determinant = det(s4, s3, s2, s3, s2, s1, s2, s1, s0);
  if (determinant === 0) return undefined;
  const a = det(t2, s3, s2, t1, s2, s1, t0, s1, s0) / determinant;
  const b = det(s4, t2, s2, s3, t1, s1, s2, t0, s0) / determinant;
  const c = det(s4, s3, t2, s3, s2, t1, s2, s1, t0) / determinant;
  const at = -b / (2 * a);
  const inside = at >= Math.min(...u) && at <= Math.max(...u);
  return a > 0 && inside ? { at: at + middle, value: c - (b * b) / (4 * a) } : undefined;
}

/** Of three rows. */
function det(
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
  g: number,
  h: number,
  i: number,
): number {
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}
