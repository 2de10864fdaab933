import { deepDepth, deepModel, type Study } from './study.ts';

/** Places counted from 1, as in the paper; for twelve layers where the paper has thirteen. */
const single = [1, 2, 3, 4, 6, 8, 10, 12];
const pairs: Readonly<Record<string, readonly number[]>> = {
  'two in front': [1, 7],
  'two in the middle': [4, 8],
  'two at the end': [4, 11],
};

function withAttentionAt(places: readonly number[]): string[] {
  return Array.from({ length: deepDepth }, (_, index) =>
    places.includes(index + 1) ? 'attention' : 'mamba2',
  );
}

/** Bae et al. (2025), section on placement: where one or two attention layers stand among Mamba-2 layers. */
export const placement: Study = {
  name: 'placement',
  summary: 'where attention stands among Mamba-2 layers: first, middle or last',
  question: 'Is attention in the first layer worse than anywhere else, and does the middle win?',
  parts: (size) => {
    const named = [...single.map((place) => [`one at ${place}`, [place]] as const), ...Object.entries(pairs)];
    const rows = named.map(([name, places]) => ({
      name,
      group: places.length === 1 ? 'one' : 'two',
      model: deepModel(size, withAttentionAt(places)),
    }));
    return [{ name: 'tokens', title: 'Equal tokens', rows, equal: 'tokens', share: 1 }];
  },
};
