/** Fusions by name. */
import type { Tensor } from '../../graph/index.ts';
import { BraidError } from '../../graph/index.ts';
import { outputProjection } from '../../nn/index.ts';
import { add, scale } from '../../ops/index.ts';
import type { FusionType } from './fusion.ts';

/**
 * W · [y₀; y₁ …] on the feature axis (FlowHN). Computed as Σ Wᵢ yᵢ with one matrix `branch0.weight`, `branch1.weight` …
 * [D, D] per branch, which are the column blocks of W: the same parameters, and nothing is copied to be side by side. A
 * routed block has one matrix, `output.weight`.
 */
const concatProject: FusionType = {
  name: 'concat-project',
  summary: 'concatenate the features and project them back to the width (FlowHN)',
  takes: 'stream',
  finalProjection: true,
  fuse: (branches, residual, context) =>
    branches.reduce((stream, branch, index) => {
      const name = branches.length > 1 ? `branch${index}` : 'output';
      return outputProjection(branch, { ...context, residual: stream, normalizeOutput: false }, name);
    }, residual),
};

/** Σ yᵢ (Falcon-H1, Bae et al. 2025). */
const sum: FusionType = {
  name: 'sum',
  summary: 'add what the branches give, each with its own output projection (Falcon-H1)',
  takes: 'contribution',
  finalProjection: false,
  fuse: (branches, residual) => add(residual, addBranches(branches)),
};

/** Σ yᵢ / n (Hymba, Dong et al. 2024). A routed block hands over one tensor, of which nothing is to be averaged. */
const mean: FusionType = {
  name: 'mean',
  summary: 'average what the branches give, each with its own output projection (Hymba)',
  takes: 'contribution',
  finalProjection: false,
  fuse(branches, residual) {
    const total = addBranches(branches);
    return add(residual, branches.length > 1 ? scale(total, 1 / branches.length) : total);
  },
};

function addBranches([first, ...rest]: readonly Tensor[]): Tensor {
  if (!first) throw new BraidError('graph', 'A fusion needs at least one branch.');
  return rest.reduce((total, branch) => add(total, branch), first);
}

/** All fusions, in the order in which they are listed to people. */
export const fusions: readonly FusionType[] = [concatProject, sum, mean];

export function findFusion(name: string): FusionType {
  const found = fusions.find((fusion) => fusion.name === name);
  if (found) return found;
  const known = fusions.map((fusion) => fusion.name).join(', ');
  throw new BraidError('config', `There is no fusion '${name}'. Known: ${known}.`);
}
