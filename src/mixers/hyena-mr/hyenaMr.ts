/**
 * Hyena-MR: an explicit filter of medium length that fades at a fixed rate (Ku et al. 2025); see README.md. Shapes: E
 * inner features, G groups, K taps.
 */
import { z } from 'zod';
import { fixedTensor, parameter } from '../../nn/index.ts';
import { multiply } from '../../ops/index.ts';
import { explicitAlgorithms, explicitFilter, explicitMeaning } from '../explicitFilter.ts';
import type { InnerFilter } from '../hyena.ts';
import { checkGroups, hyena, hyenaOptions, hyenaStates } from '../hyena.ts';
import type { OptionIssue } from '../layer.ts';
import { defineLayer } from '../layer.ts';

const options = z.strictObject({
  ...hyenaOptions,
  /** K */
  taps: z.int().min(2).default(128),
  /** E / G: neighbouring features that share a filter. */
  groupSize: z.int().positive().default(16),
  /** ρ of the fastest and of the slowest fading group, in tokens. */
  decayLengths: z.tuple([z.number().positive(), z.number().positive()]).default([82, 820_000]),
  /** d ⊙ u beside the filter. */
  skip: z.boolean().default(true),
  /** All mean the same; `fused` does gates and filters in one pass over memory. */
  algorithm: z.enum(explicitAlgorithms).default('fused'),
  /** Rows of a block of `blocked`. */
  block: z.int().positive().default(64),
});

type Options = z.infer<typeof options>;

/** The published start of the filter: the operator begins as its skip. */
const startingScale = 1e-5;

function filterOf(given: Options): InnerFilter {
  const { taps } = given;
  const [shortest, longest] = given.decayLengths;
  const reach = taps ** -0.5;
  return explicitFilter({
    ...given,
    skip: given.skip ? { kind: 'uniform', low: -reach, high: reach } : undefined,
    filter(groups, context) {
      const start = { kind: 'normal', deviation: startingScale * reach } as const;
      const fade = fixedTensor(context, 'fade', [groups, taps], { kind: 'fadingTaps', shortest, longest });
      return multiply(parameter(context, 'taps', [groups, taps], start, false), fade);
    },
  });
}

function check(given: Options, width: number): OptionIssue[] {
  const issues = checkGroups(given, width);
  const [shortest, longest] = given.decayLengths;
  if (shortest > longest) {
    const message = `is [${shortest}, ${longest}]; the first length must not be above the second.`;
    issues.push({ option: 'decayLengths', message });
  }
  return issues;
}

export const hyenaMr = defineLayer<Options>({
  name: 'hyena-mr',
  kind: 'mixer',
  summary: 'gated convolution with a fading explicit filter of medium length (StripedHyena 2)',
  options,
  check,
  states: (given, shape) => hyenaStates(given, filterOf(given), shape),
  meaning: explicitMeaning,
  needsPositions: () => false,
  forward: (x, given, context, state) => hyena(x, given, filterOf(given), context, state),
  conformance: [
    {
      label: 'blocked',
      width: 4,
      options: options.parse({
        ...{ taps: 6, groupSize: 2, decayLengths: [2, 20], algorithm: 'blocked', block: 5 },
      }),
      lengths: [5, 11],
    },
    {
      label: 'without a skip',
      width: 3,
      options: options.parse({
        ...{ taps: 9, groupSize: 3, decayLengths: [4, 4], skip: false },
      }),
      lengths: [9],
    },
  ],
});
