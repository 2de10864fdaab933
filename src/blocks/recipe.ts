/**
 * Where the few expensive layers of a hybrid stand among the many cheap ones: what Bae et al. (2025, arXiv:2510.04800,
 * sections on placement) found best for attention among Mamba-2 layers and for blocks that hold both.
 */
import { BraidError } from '../graph/index.ts';

/** How many layers of each kind: expensive : cheap, such as [1, 5]. */
export type LayerRatio = readonly [expensive: number, cheap: number];

/** The number of expensive layers in `depth` that comes nearest to a ratio; one at least where the ratio has any. */
export function layersFor(depth: number, [expensive, cheap]: LayerRatio): number {
  const valid =
    [expensive, cheap].every((part) => Number.isFinite(part) && part >= 0) && expensive + cheap > 0;
  if (!valid) {
    throw new BraidError(
      'config',
      `A ratio of layers is two numbers of at least 0, not both 0; given ${expensive} : ${cheap}.`,
    );
  }
  if (expensive === 0) return 0;
  return Math.max(1, Math.round((depth * expensive) / (expensive + cheap)));
}

/**
 * The places, from 0, of `count` expensive layers among `depth`: evenly spread with both ends free, and never the first
 * (an attention layer at the start costs more than one anywhere else) unless all layers are expensive.
 */
export function spreadLayers(depth: number, count: number): readonly number[] {
  for (const [name, value] of Object.entries({ depth, count })) {
    if (Number.isInteger(value) && value >= 0) continue;
    throw new BraidError(
      'config',
      `The ${name} of a layout must be a whole number of at least 0; given ${value}.`,
    );
  }
  if (count > depth) {
    throw new BraidError('config', `${count} layers do not fit into a depth of ${depth}.`);
  }
  if (count === depth) return Array.from({ length: depth }, (_, place) => place);
  if (2 * count >= depth) return alternate(depth, count);
  return Array.from({ length: count }, (_, index) => {
    // Counted from 1, as in the paper: place 7 for one of 13, 5 and 9 for two, 4, 7 and 11 for three.
    const place = Math.round(((index + 1) * (depth + 1)) / (count + 1));
    return Math.max(place, index + 2) - 1;
  });
}

/** Every second place, the cheap layers first; what is more fills up from the end: 2, 4, 6, 8, 10, 12 and 13 of 13. */
function alternate(depth: number, count: number): readonly number[] {
  const extra = count - Math.floor(depth / 2);
  // From this place on all are dear: `extra` even ones, counted from 0, stand there.
  const solid = depth - 2 * extra + (depth % 2);
  return Array.from({ length: depth }, (_, place) => place).filter(
    (place) => place % 2 === 1 || place >= solid,
  );
}

/** One entry per layer: `expensive` at the places of the recipe, `cheap` elsewhere. */
export function layout<Layer>(
  depth: number,
  ratio: LayerRatio,
  { expensive, cheap }: { readonly expensive: Layer; readonly cheap: Layer },
): readonly Layer[] {
  const places = new Set(spreadLayers(depth, layersFor(depth, ratio)));
  return Array.from({ length: depth }, (_, place) => (places.has(place) ? expensive : cheap));
}
