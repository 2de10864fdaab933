/** Fusions by name. */
import type { Tensor } from '../../graph/index.ts';
import { BraidError } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';
import { outputProjection, scaled } from '../../nn/index.ts';
import { add } from '../../ops/index.ts';
import type { FusionType } from './fusion.ts';

/**
 * W · [y₀; y₁ …] on the feature axis (FlowHN). Computed as Σ Wᵢ yᵢ with one matrix `branch0.weight`, `branch1.weight` …
 * [D, E] per branch, which are the column blocks of W: the same parameters, and nothing is copied to be side by side. A
 * routed block has one matrix, `output.weight`.
 */
const concatProject: FusionType = {
  name: 'concat-project',
  summary: 'concatenate the features and project them back to the width (FlowHN)',
  takes: 'stream',
  adds: false,
  finalProjection: true,
  fuse: (branches, residual, context) =>
    branches.reduce((stream, branch, index) => {
      const name = branches.length > 1 ? `branch${index}` : 'output';
      return project(branch, stream, context, name);
    }, residual),
};

/** Σ yᵢ (Falcon-H1, Bae et al. 2025). */
const sum: FusionType = {
  name: 'sum',
  summary: 'add what the branches give (Falcon-H1)',
  takes: 'contribution',
  adds: true,
  finalProjection: false,
  fuse: (branches, residual, context, projected) =>
    addTo(residual, addBranches(branches), context, projected),
};

/** Σ yᵢ / n (Hymba, Dong et al. 2024). A routed block hands over one tensor, of which nothing is to be averaged. */
const mean: FusionType = {
  name: 'mean',
  summary: 'average what the branches give (Hymba)',
  takes: 'contribution',
  adds: true,
  finalProjection: false,
  fuse: (branches, residual, context, projected) =>
    addTo(residual, scaled(addBranches(branches), 1 / branches.length), context, projected),
};

function addBranches([first, ...rest]: readonly Tensor[]): Tensor {
  if (!first) throw new BraidError('graph', 'A fusion needs at least one branch.');
  return rest.reduce((total, branch) => add(total, branch), first);
}

function addTo(residual: Tensor, fused: Tensor, context: LayerContext, projected: boolean): Tensor {
  return projected ? project(fused, residual, context) : add(residual, fused);
}

/** residual + W · x. */
function project(x: Tensor, residual: Tensor, context: LayerContext, name?: string): Tensor {
  return outputProjection(x, { ...context, residual, normalizeOutput: false }, name);
}

/** All fusions, in the order in which they are listed to people. */
export const fusions: readonly FusionType[] = [concatProject, sum, mean];

export function findFusion(name: string): FusionType {
  const found = fusions.find((fusion) => fusion.name === name);
  if (found) return found;
  const known = fusions.map((fusion) => fusion.name).join(', ');
  throw new BraidError('config', `There is no fusion '${name}'. Known: ${known}.`);
}
