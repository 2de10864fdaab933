/**
 * How branch outputs become one stream again. Shapes: B batch, L length, D width.
 */
import { z } from 'zod';
import type { Tensor } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';

/** Choice of a fusion, as it stands in a configuration. */
export const fusionSchema = z.strictObject({
  type: z.string().default('concat-project'),
  /** RMSNorm on each branch (before its output projection, where the branches are bare mixers). */
  norm: z.boolean().default(false),
  /** A learned factor per feature on each branch, after its norm where there is one. Starts at 1. */
  scale: z.boolean().optional(),
  /**
   * Where the branches are bare mixers: `own`, an output projection each (the default), or `joint`, one after the fusion
   * (Hymba), so that what is fused are the inner features of the mixers.
   */
  projection: z.enum(['own', 'joint']).optional(),
  /**
   * A linear D → D with its own norm and residual after the fusion. Not given: as the fusion has it in its source
   * (FlowHN's has one).
   */
  final: z.boolean().optional(),
});

export type Fusion = z.infer<typeof fusionSchema>;

export interface FusionType {
  readonly name: string;
  readonly summary: string;
  /**
   * What a branch that is a complete residual layer hands over: its `stream` (the residual stream after it), or its
   * `contribution` (that less the block's input). Bare mixers always hand over what they compute.
   */
  readonly takes: 'stream' | 'contribution';
  /** Whether branches are added up, so that all need as many features. */
  readonly adds: boolean;
  /** Whether blocks of complete layers end with the final projection unless told otherwise. */
  readonly finalProjection: boolean;
  /**
   * The residual stream after the fusion: `residual` [B, L, D] plus what the branches come to. These are [B, L, D], or,
   * with `project`, inner features [B, L, E] that the fusion projects. A routed block merges its branches by position
   * first and hands over that one tensor.
   */
  fuse(branches: readonly Tensor[], residual: Tensor, context: LayerContext, project: boolean): Tensor;
}
