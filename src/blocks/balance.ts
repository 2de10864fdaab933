/**
 * How many positions each of two branches should get so that both do the same work: FlowHN's balance F₀(x) = F₁(L − x),
 * for any two branches, with costs that the caller reads from their graphs or measures.
 */

/** Cost of a branch on a row of so many positions; it grows with their number. */
export type BranchCost = (positions: number) => number;

/**
 * Positions of the first branch, from 1 to `length` − 1, at which the costs of the two branches differ least.
 * @param length at least 2
 */
export function balancedTokens(length: number, first: BranchCost, second: BranchCost): number {
  /** Positive where the first branch has more to do; grows with its tokens. */
  const excess = (tokens: number): number => first(tokens) - second(length - tokens);
  let low = 1;
  let high = length - 1;
  // Bisect to neighbours on either side of zero.
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (excess(middle) > 0) high = middle;
    else low = middle;
  }
  return Math.abs(excess(low)) <= Math.abs(excess(high)) ? low : high;
}

/** Times that the two branches took, in seconds, when the first had a share of the positions. */
export interface MeasuredShare {
  readonly share: number;
  readonly first: number;
  readonly second: number;
}

/** The faster branch's time over the slower one's: 1 is perfect balance. */
export function evenness({ first, second }: MeasuredShare): number {
  return Math.min(first, second) / Math.max(first, second);
}

export interface EqualizeOptions {
  /** Share of the first branch to begin with. */
  readonly start: number;
  /** Evenness that is good enough. */
  readonly goal?: number;
  /** Most measurements. */
  readonly most?: number;
}

/**
 * Finds the share of the first branch at which both branches take the same time, by measuring: each next share is the one
 * that would be even if the time of a branch grew with its positions, which comes nearer whatever way it really grows.
 * @returns all measurements, the most even one first
 */
export async function equalizeTimes(
  measure: (share: number) => Promise<MeasuredShare>,
  { start, goal = 0.98, most = 5 }: EqualizeOptions,
): Promise<readonly MeasuredShare[]> {
  const measured: MeasuredShare[] = [];
  let share = start;
  while (measured.length < most) {
    const times = await measure(share);
    measured.push(times);
    if (evenness(times) >= goal) break;
    const firstRate = times.first / times.share;
    const secondRate = times.second / (1 - times.share);
    share = secondRate / (firstRate + secondRate);
  }
  return measured.sort((a, b) => evenness(b) - evenness(a));
}
