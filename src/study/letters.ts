/**
 * Letters for the rows of a table: two rows share a letter exactly when they cannot be told apart. The fewest letters that
 * do so are found by splitting and absorbing (Piepho, "An algorithm for a letter-based representation of all-pairwise
 * comparisons", 2004).
 */

/**
 * @param count rows, best first
 * @param differ whether two rows can be told apart
 * @returns the letters of each row, such as `a`, `ab`, `b`
 */
export function letters(count: number, differ: (first: number, second: number) => boolean): string[] {
  let groups: boolean[][] = [new Array<boolean>(count).fill(true)];
  for (let first = 0; first < count; first++) {
    for (let second = first + 1; second < count; second++) {
      if (differ(first, second)) groups = absorb(split(groups, first, second));
    }
  }
  const ordered = groups.sort(
    (a, b) => a.indexOf(true) - b.indexOf(true) || b.lastIndexOf(true) - a.lastIndexOf(true),
  );
  return Array.from({ length: count }, (_, row) =>
    ordered.map((group, index) => (group[row] ? name(index) : '')).join(''),
  );
}

/** No group may hold both rows: each that does becomes two, one without the first and one without the second. */
function split(groups: readonly boolean[][], first: number, second: number): boolean[][] {
  const without = (group: readonly boolean[], row: number) => group.map((member, at) => member && at !== row);
  return groups.flatMap((group) =>
    group[first] && group[second] ? [without(group, second), without(group, first)] : [group],
  );
}

/** Leaves out groups that are part of another one. */
function absorb(groups: readonly boolean[][]): boolean[][] {
  const within = (part: readonly boolean[], whole: readonly boolean[]) =>
    part.every((member, row) => !member || whole[row]);
  return groups.filter(
    (group, index) =>
      !groups.some(
        (other, at) => at !== index && within(group, other) && (!within(other, group) || at < index),
      ),
  );
}

/** a … z, then A … Z: a table with more groups than that has too many rows for letters. */
function name(index: number): string {
  return String.fromCharCode(index < 26 ? 97 + index : 65 + ((index - 26) % 26));
}
