/**
 * Which positions go to which branch of a routed block. A strategy is a pure function of the block's number among the
 * routed blocks, the length, where the piece starts and the ratio: positions are constants of a program.
 */
import { z } from 'zod';

/** Choice of a strategy, as it stands in a configuration. */
export const routingSchema = z.strictObject({
  strategy: z.string(),
  /** Share of the first branch, between 0 and 1, both excluded. Not given: solved by `balance`. */
  ratio: z.number().gt(0).lt(1).optional(),
  /**
   * What both branches get the same of. `time` is measured on the machine before a run begins, which then has the ratio; until
   * then FLOPs stand for it.
   */
  balance: z.enum(['flops', 'time']).default('flops'),
  /** `chunks` only: positions in one chunk. */
  chunk: z.int().positive().optional(),
  /** `chunks` only: cyclic pattern of branches by number from 0; A is the first too, and S the second. */
  pattern: z.string().optional(),
});

export type Routing = z.infer<typeof routingSchema>;

/** Positions [start, end) of a piece, counted from the first token of the piece. */
export type Range = readonly [start: number, end: number];

export interface RoutingRequest {
  readonly routing: Routing;
  /** Number of the block among the routed blocks of the model, from 0. */
  readonly layer: number;
  /** Tokens in the piece at hand. */
  readonly length: number;
  /** Position in the row of the first token of the piece. */
  readonly start: number;
  /** Share of the first branch; given to strategies whose `ratio` is `solved`. */
  readonly ratio: number;
  /** Branches of the block. Not given: 2. */
  readonly branches?: number;
}

/** An option that does not go with the strategy. The message continues the option's path. */
export interface RoutingIssue {
  readonly option: keyof Routing;
  readonly message: string;
}

/** Something found about a choice, so that one knows before training. */
export interface Finding {
  readonly finding: string;
  /** Where it was found: a paper, or a page of the documentation. */
  readonly source: string;
}

export interface RoutingStrategy {
  readonly name: string;
  readonly summary: string;
  /**
   * `solved`: given in the configuration or solved from the cost of the branches; `fixed`: part of the rule, giving
   * one is an error; `pattern`: the nearest cyclic pattern stands for a given one.
   */
  readonly ratio: 'solved' | 'fixed' | 'pattern';
  /** True when the split is the same for every length, so that states can be carried from piece to piece. */
  readonly prefixStable: boolean;
  /** Branches that it can route between, at the most. */
  readonly mostBranches: number;
  /** Names the faults of a configuration; empty when there are none. Without the number of branches, those of any number. */
  check(routing: Routing, branches?: number): readonly RoutingIssue[];
  /** What speaks against a valid configuration. */
  findings(routing: Routing): readonly Finding[];
  /** For prefix-stable strategies: after how many positions the routing of every block repeats. */
  period(routing: Routing, branches?: number): number;
  /** Per branch its ranges: sorted, disjoint, together all positions of the piece. */
  route(request: RoutingRequest): readonly (readonly Range[])[];
}

/** A ratio given to a strategy whose split is part of its rule. */
export function ratioIssue(strategy: string, routing: Routing): readonly RoutingIssue[] {
  if (routing.ratio === undefined) return [];
  const message = `is ${routing.ratio}, but the split of '${strategy}' is part of its rule; leave it out, or use 'fa' or 'fac'.`;
  return [{ option: 'ratio', message }];
}

/** Options of `chunks` given to another strategy. */
export function patternIssues(strategy: string, routing: Routing): readonly RoutingIssue[] {
  const options = ['chunk', 'pattern'] as const;
  return options
    .filter((option) => routing[option] !== undefined)
    .map((option) => ({
      option,
      message: `belongs to the strategy 'chunks', not to '${strategy}'; leave it out.`,
    }));
}
