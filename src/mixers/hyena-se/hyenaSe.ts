/**
 * Hyena-SE: a short explicit filter between gates (Ku et al. 2025); see README.md. Shapes: E inner features, G groups, K
 * taps.
 */
import { z } from 'zod';
import { parameter } from '../../nn/index.ts';
import { explicitAlgorithms, explicitFilter, explicitMeaning } from '../explicitFilter.ts';
import type { InnerFilter } from '../hyena.ts';
import { checkGroups, hyena, hyenaOptions, hyenaStates } from '../hyena.ts';
import { defineLayer } from '../layer.ts';

const options = z.strictObject({
  ...hyenaOptions,
  /** K */
  taps: z.int().min(2).default(7),
  /** E / G: neighbouring features that share a filter. */
  groupSize: z.int().positive().default(16),
  /** All mean the same; `fused` does gates and filters in one pass over memory. */
  algorithm: z.enum(explicitAlgorithms).default('fused'),
  /** Rows of a block of `blocked`. */
  block: z.int().positive().default(16),
});

type Options = z.infer<typeof options>;

function filterOf(given: Options): InnerFilter {
  const reach = given.taps ** -0.5;
  return explicitFilter({
    ...given,
    filter: (groups, context) =>
      parameter(context, 'taps', [groups, given.taps], { kind: 'uniform', low: -reach, high: reach }, false),
  });
}

export const hyenaSe = defineLayer<Options>({
  name: 'hyena-se',
  kind: 'both',
  summary: 'gated convolution with a short explicit filter (StripedHyena 2); also as a channel mixer',
  options,
  check: checkGroups,
  states: (given, shape) => hyenaStates(given, filterOf(given), shape),
  meaning: explicitMeaning,
  needsPositions: () => false,
  forward: (x, given, context, state) => hyena(x, given, filterOf(given), context, state),
  conformance: [
    { label: 'groups', width: 4, options: options.parse({ taps: 4, groupSize: 2 }), lengths: [4, 7] },
    {
      label: 'blocked, wider inside, without a bias',
      width: 4,
      options: options.parse({
        ...{ width: 6, featurizer: 2, outputBias: false, taps: 5, groupSize: 1 },
        ...{ algorithm: 'blocked', block: 4 },
      }),
      lengths: [5, 9],
    },
  ],
});
