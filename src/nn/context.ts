/**
 * What a layer is told while it is built: where it stands, what it may read and how to declare its parameters.
 * Shapes: B batch, L length, D width.
 */
import type { Graph, Shape, Tensor } from '../graph/index.ts';
import type { Adaptation } from './adaptation.ts';
import type { Adapters } from './adapters.ts';
import type { Handover } from './handover.ts';
import type { Initializer, ParameterList, ParameterSpec } from './parameters.ts';

export interface LayerContext {
  readonly graph: Graph;
  readonly batch: number;
  /** Positions that this layer sees; a branch of a routed block sees fewer than the row has. */
  readonly length: number;
  /** Features of the residual stream. */
  readonly width: number;
  /** [B, L] int32: true position of each token in its row. */
  readonly positions: Tensor;
  /** [B, L] int32: where the document of each token starts; absent when rows are not packed. */
  readonly documents?: Tensor | undefined;
  /** Epsilon of every RMSNorm. */
  readonly epsilon: number;
  /** Every RMSNorm multiplies by 1 + weight, which starts at 0 (Gemma). Not given: by the weight itself. */
  readonly normOffset?: boolean | undefined;
  /** Standard deviation of initial weights. */
  readonly deviation: number;
  /** The same for projections whose output is added to the residual stream: deviation / √(2 · layers). */
  readonly residualDeviation: number;
  /** [B, L, D]: added to what the layer gives, in its last matrix product; absent where the block adds it itself. */
  readonly residual?: Tensor | undefined;
  /** Put an RMSNorm before the output projection of a mixer: fusions of bare mixers ask for it. */
  readonly normalizeOutput: boolean;
  /** Put a learned factor per feature there, after the norm. Not given: none. */
  readonly scaleOutput?: boolean | undefined;
  /** Whether a mixer ends with its output projection. Not given: it does. */
  readonly projectOutput?: boolean | undefined;
  /** In the graph of a training step: where layers say how they move fixed tensors. */
  readonly adaptations?: Adaptation[] | undefined;
  /** What layers before this one left for later ones; see handover.ts. */
  readonly handover?: Handover | undefined;
  /** Low-rank parts that linear layers add to their weights; absent where they add none. */
  readonly adapters?: Adapters | undefined;
  readonly parameters: ParameterList;
}

/**
 * Declares a parameter of the layer that is being built: its name is the layer path and `name`. Without `decay` the
 * rule of thumb holds: matrices decay, vectors do not.
 */
export function parameter(
  context: LayerContext,
  name: string,
  shape: Shape,
  initializer: Initializer,
  decay: boolean = shape.length > 1,
): Tensor {
  return declare(context, { name, shape, initializer, decay });
}

/** Declares a tensor that is saved with the parameters but gets no gradient step: a constant, or a running figure. */
export function fixedTensor(
  context: LayerContext,
  name: string,
  shape: Shape,
  initializer: Initializer,
): Tensor {
  return declare(context, { name, shape, initializer, decay: false, fixed: true });
}

function declare({ graph, parameters }: LayerContext, spec: ParameterSpec): Tensor {
  const { path } = graph.location;
  const name = path === '' ? spec.name : `${path}.${spec.name}`;
  parameters.add({ ...spec, name });
  return graph.source('parameter', name, spec.shape);
}
