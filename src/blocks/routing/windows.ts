/**
 * FlowHN's strategies (Moradi et al., arXiv 2505.19472): every branch gets a window of the row. They split a row at
 * fractions of its length, so they have no states: with more tokens, earlier ones change branch. The first branch is
 * attention in the paper, the second the state-space branch.
 */
import { BraidError } from '../../graph/index.ts';
import type { Range, Routing, RoutingRequest, RoutingStrategy } from './strategy.ts';
import { patternIssues, ratioIssue } from './strategy.ts';

/** [start, end), or nothing where it is empty. */
function range(start: number, end: number): readonly Range[] {
  return end > start ? [[start, end]] : [];
}

/** The share of the first branch in whole tokens: rounded, and at least one for either branch where there are two. */
export function shareOfTokens(ratio: number, length: number): number {
  const tokens = Math.round(ratio * length);
  return length < 2 ? tokens : Math.min(Math.max(tokens, 1), length - 1);
}

/** Attention on the last `tokens` positions, the other branch on those before. */
function attentionLast(tokens: number, length: number): readonly (readonly Range[])[] {
  return [range(length - tokens, length), range(0, length - tokens)];
}

function attentionFirst(tokens: number, length: number): readonly (readonly Range[])[] {
  return [range(0, tokens), range(tokens, length)];
}

/** Whether the split lies at the same place in every block, at an even length. */
function splitsAlike(route: RoutingStrategy['route'], routing: Routing): boolean {
  const { ratio = 0.55 } = routing;
  const splits = [0, 1, 2].map((layer) => {
    const parts = route({ routing, layer, length: 1024, start: 0, ratio });
    return parts.flatMap((ranges) => ranges.flat()).sort((a, b) => a - b);
  });
  return new Set(splits.map(String)).size === 1;
}

const noFlow = {
  finding:
    'every block splits the row at the same place: a token behind the split never depends on one before it, however ' +
    'deep the model.',
  source: 'docs/flowhn.md, What a split costs',
} as const;

function windowStrategy(
  name: string,
  summary: string,
  ratio: 'solved' | 'fixed',
  route: (request: RoutingRequest) => readonly (readonly Range[])[],
): RoutingStrategy {
  return {
    name,
    summary,
    ratio,
    prefixStable: false,
    mostBranches: 2,
    check: (routing) => [
      ...(ratio === 'fixed' ? ratioIssue(name, routing) : []),
      ...patternIssues(name, routing),
    ],
    findings: (routing) => (splitsAlike(route, routing) ? [noFlow] : []),
    period() {
      throw new BraidError(
        'unsupported',
        `Strategy '${name}' splits a row by its length, so its routing has no period. Only 'chunks' has one.`,
      );
    },
    route,
  };
}

/** Alternating equal halves: the other branch first in even blocks, attention first in odd ones. */
export const alternatingEqual = windowStrategy(
  'ae',
  'halves of the row, swapped from block to block (FlowHN AE)',
  'fixed',
  ({ layer, length }) => {
    const half = Math.floor(length / 2);
    return layer % 2 === 0 ? attentionLast(length - half, length) : attentionFirst(half, length);
  },
);

/** The figure's FA: the same split in every block, attention last. */
export const flopAware = windowStrategy(
  'fa',
  "one split by cost, attention on the last positions (FlowHN FA, the figure's rule)",
  'solved',
  ({ length, ratio }) => attentionLast(shareOfTokens(ratio, length), length),
);

/** The figure's FAC: attention's window steps backwards from the end, round the row, block by block. */
export const flopAwareCirculation = windowStrategy(
  'fac',
  "attention's window steps backwards from block to block (FlowHN FAC, the figure's rule)",
  'solved',
  ({ layer, length, ratio }) => {
    const tokens = shareOfTokens(ratio, length);
    const shift = (tokens * (layer + 1)) % length;
    const start = (length - shift) % length;
    const end = start + tokens;
    if (end <= length) return [range(start, end), [...range(0, start), ...range(end, length)]];
    return [[...range(0, end - length), ...range(start, length)], range(end - length, start)];
  },
);

/** The released code's FA: 0.59 of the row, rounded down, to attention, which comes first. */
export const flopAwareCode = windowStrategy(
  'fa-code',
  'attention on the first 59 % in every block (FlowHN FA as released)',
  'fixed',
  ({ length }) => attentionFirst(Math.floor(0.59 * length), length),
);

/** The released code's FAC: halves, swapped; unlike AE, attention gets the smaller half in every block. */
export const flopAwareCirculationCode = windowStrategy(
  'fac-code',
  'halves of the row, swapped, attention the smaller (FlowHN FAC as released)',
  'fixed',
  ({ layer, length }) => {
    const tokens = Math.floor(0.5 * length);
    return layer % 2 === 0 ? attentionLast(tokens, length) : attentionFirst(tokens, length);
  },
);
