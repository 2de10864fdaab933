/** A pattern from its terms in order: neighbours that are the same become one with a count. */
export function patternText(terms: readonly string[]): string {
  const runs: { readonly term: string; readonly count: number }[] = [];
  for (const term of terms) {
    const last = runs.at(-1);
    if (last?.term === term) runs[runs.length - 1] = { term, count: last.count + 1 };
    else runs.push({ term, count: 1 });
  }
  return runs.map(({ term, count }) => (count > 1 ? `${term}*${count}` : term)).join(' ');
}
