/** Spelling help for error messages. */

/** Number of single-letter edits (insert, delete, replace, swap of neighbours) between two words. */
export function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let best = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, (beforePrevious[column - 2] ?? 0) + 1);
      }
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** The known name that a misspelt one most likely means, or nothing when none is close. */
export function nearestName(given: string, known: Iterable<string>): string | undefined {
  const lowered = given.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(given.length / 3)) + 1;
  for (const name of known) {
    const candidate = name.toLowerCase();
    // A word that only lacks its end or carries a longer one counts as one edit: `mamba` means `mamba1`.
    const prefix = lowered.length > 1 && (candidate.startsWith(lowered) || lowered.startsWith(candidate));
    const distance = prefix ? 1 : editDistance(lowered, candidate);
    if (distance < bestDistance && distance < Math.max(given.length, name.length)) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** `Did you mean 'mamba1'?` when a known name is near, then the list of all. Ends a message. */
export function suggestName(given: string, known: readonly string[]): string {
  const nearest = nearestName(given, known);
  const hint = nearest === undefined ? '' : `Did you mean '${nearest}'? `;
  return `${hint}Known: ${[...known].sort().join(', ')}.`;
}
