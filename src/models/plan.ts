/**
 * What a model costs, known before it runs: read off its graph at one sequence length, on one row. Plain data. FLOPs are
 * model FLOPs (a multiply-add is 2, causal scores and values counted n(n+1)/2, nothing counted twice), the head included.
 */
import type { BlockSummary } from '../blocks/index.ts';
import type { GraphCost } from '../compiler/index.ts';
import { graphCost, trainingFlops } from '../compiler/index.ts';
import type { DType, Shape } from '../graph/index.ts';
import { BraidError, byteSize, elementCount, Graph } from '../graph/index.ts';
import type { BuiltModel } from './build.ts';
import { buildModel } from './build.ts';
import type { ModelConfig } from './config.ts';
import type { LayoutFinding } from './findings.ts';
import { layoutFindings } from './findings.ts';
import { lossOf } from './head.ts';

export interface LayerPlan {
  /** Layer path, such as `blocks.0.branch0.attention`. */
  readonly path: string;
  readonly parameters: number;
  /** Forward model FLOPs on one row, divided by the tokens of the row, whichever branch they take. */
  readonly flopsPerToken: number;
  /** Bytes that its calls read and write on one row, in float32. */
  readonly bytes: number;
}

export interface BranchPlan {
  /** Its layers, as in a pattern. */
  readonly label: string;
  /** Positions of a row that it sees. */
  readonly tokens: number;
  /** Forward model FLOPs of one row. */
  readonly flops: number;
  readonly parameters: number;
}

export interface BlockPlan {
  readonly path: string;
  readonly kind: 'parallel' | 'routed';
  readonly fusion: string;
  /** `none` for a parallel block: every token goes through every branch. */
  readonly strategy: string;
  /** Share of the first branch in the positions of a row; null for a parallel block. */
  readonly ratio: number | null;
  /** FLOPs of the cheapest branch over those of the dearest: 1 is perfect balance. */
  readonly balance: number;
  readonly branches: readonly BranchPlan[];
}

export interface StatePlan {
  readonly name: string;
  readonly kind: 'window' | 'recurrent' | 'append';
  readonly dtype: DType;
  readonly shape: Shape;
  readonly bytes: number;
}

/** Bytes of states: as Braid keeps them, in float32, and with every float in BF16, as caches are usually published. */
export interface StateBytes {
  readonly bytes: number;
  readonly bfloat16: number;
}

export interface StatesPlan {
  /** Of one sequence of the planned length; null where nothing can be carried. */
  readonly bytes: number | null;
  readonly bfloat16: number | null;
  /** What one more token adds; 0 for models whose states do not grow. */
  readonly perToken: StateBytes | null;
  readonly tensors: readonly StatePlan[];
  /** Why nothing can be carried. */
  readonly reason?: string;
}

export interface ModelPlan {
  readonly name?: string;
  readonly length: number;
  readonly parameters: {
    readonly total: number;
    /** Without embedding and head. */
    readonly nonEmbedding: number;
  };
  readonly layers: readonly LayerPlan[];
  readonly blocks: readonly BlockPlan[];
  readonly flopsPerToken: {
    readonly forward: number;
    /** Three times the forward: once more for the gradients of inputs, once for those of weights. */
    readonly training: number;
  };
  /** Bytes that the calls of one forward pass over a row read and write, in float32. */
  readonly bytes: { readonly forward: number };
  /** What generation carries. */
  readonly states: StatesPlan;
  /** What speaks against the layout, with its source. */
  readonly findings: readonly LayoutFinding[];
  /** Bytes of what training holds whatever the batch: float32 weights, their gradients, two moments of AdamW. */
  readonly memory: { readonly weights: number; readonly gradients: number; readonly optimizer: number };
}

/**
 * Plans a model at a sequence length.
 * @param length tokens of one row, at least 1
 */
export function planModel(config: ModelConfig, { length }: { readonly length: number }): ModelPlan {
  const graph = new Graph();
  const model = buildModel(graph, config, { batch: 1, length, documents: false });
  addLoss(graph, model, length);
  const cost = graphCost(graph);
  const total = countParameters(model, () => true);
  return {
    ...(config.name === undefined ? {} : { name: config.name }),
    length,
    parameters: {
      total,
      nonEmbedding: countParameters(
        model,
        (name) => !name.startsWith('embedding.') && !name.startsWith('head.'),
      ),
    },
    layers: planLayers(model, cost, length),
    blocks: model.blocks.map((block) => planBlock(block, model, cost)),
    flopsPerToken: { forward: cost.model / length, training: trainingFlops(cost) / length },
    bytes: { forward: cost.bytes },
    states: planStates(config, length),
    findings: layoutFindings(config),
    memory: { weights: 4 * countElements(model.parameters), gradients: 4 * total, optimizer: 8 * total },
  };
}

function addLoss(graph: Graph, model: BuiltModel, length: number): void {
  const targets = graph.source('input', 'targets', [1, length], 'int32');
  const weights = graph.source('input', 'weights', [1, length]);
  graph.scope('head', () => lossOf(model, targets, weights, length));
}

/** Trained numbers; fixed tensors are no parameters. */
function countParameters(model: BuiltModel, wanted: (name: string) => boolean): number {
  return countElements(model.parameters.filter(({ name, fixed }) => !fixed && wanted(name)));
}

function countElements(specs: readonly { readonly shape: Shape }[]): number {
  return specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

/** One row per layer path that has parameters or FLOPs. A parameter belongs to the longest path that its name begins with. */
function planLayers(model: BuiltModel, cost: GraphCost, length: number): readonly LayerPlan[] {
  // A branch that no token of this length reaches has parameters, but no calls.
  const branches = model.blocks.flatMap((block) => block.branches.map((branch) => branch.path));
  const paths = [...new Set([...cost.paths.keys(), ...branches])];
  const owned = new Map<string, number>();
  for (const { name, shape, fixed } of model.parameters) {
    if (fixed) continue;
    const owner = paths
      .filter((path) => name.startsWith(`${path}.`))
      .reduce((longest, path) => (path.length > longest.length ? path : longest), '');
    owned.set(owner, (owned.get(owner) ?? 0) + elementCount(shape));
  }
  return paths
    .map((path) => {
      const { model: flops = 0, bytes = 0 } = cost.paths.get(path) ?? {};
      return { path, parameters: owned.get(path) ?? 0, flopsPerToken: flops / length, bytes };
    })
    .filter((layer) => layer.parameters > 0 || layer.flopsPerToken > 0);
}

function planBlock(block: BlockSummary, model: BuiltModel, cost: GraphCost): BlockPlan {
  const branches = block.branches.map(({ label, path, tokens }) => ({
    label,
    tokens,
    flops: cost.under(path).model,
    parameters: countParameters(model, (name) => name.startsWith(`${path}.`)),
  }));
  const flops = branches.map((branch) => branch.flops);
  return {
    path: block.path,
    kind: block.kind,
    fusion: block.fusion,
    strategy: block.strategy ?? 'none',
    ratio: block.ratio ?? null,
    balance: Math.min(...flops) / Math.max(...flops),
    branches,
  };
}

/** States are those of a program that takes one token; a model that cannot carry any says why. */
function planStates(config: ModelConfig, length: number): StatesPlan {
  try {
    const tensors = statesAt(config, length);
    const bytes = sumBytes(tensors);
    const longer = sumBytes(statesAt(config, 2 * length));
    const perToken = {
      bytes: (longer.bytes - bytes.bytes) / length,
      bfloat16: (longer.bfloat16 - bytes.bfloat16) / length,
    };
    return { ...bytes, perToken, tensors };
  } catch (error) {
    if (error instanceof BraidError && error.code === 'unsupported') {
      return { bytes: null, bfloat16: null, perToken: null, tensors: [], reason: error.message };
    }
    throw error;
  }
}

function statesAt(config: ModelConfig, capacity: number): readonly StatePlan[] {
  const options = { batch: 1, length: 1, documents: false, states: { capacity } };
  const { states } = buildModel(new Graph(), config, options);
  return states.map(({ name, kind, shape, dtype }) => {
    return { name, kind, dtype, shape, bytes: byteSize({ shape, dtype }) };
  });
}

function sumBytes(tensors: readonly StatePlan[]): StateBytes {
  const sum = (of: (tensor: StatePlan) => number): number =>
    tensors.reduce((total, tensor) => total + of(tensor), 0);
  return {
    bytes: sum(({ bytes }) => bytes),
    bfloat16: sum(({ dtype, shape, bytes }) => (dtype === 'float32' ? 2 * elementCount(shape) : bytes)),
  };
}
