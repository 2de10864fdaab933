/**
 * How many positions each of two branches should get so that both do the same work: FlowHN's balance F₀(x) = F₁(L − x),
 * for any two branches, with costs that the caller reads from their graphs.
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
