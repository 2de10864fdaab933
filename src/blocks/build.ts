/**
 * Builds blocks into a graph: residual layers, branches side by side in lanes, routing by position, fusion.
 * Shapes: B batch, L length, D width.
 */
import { graphCost } from '../compiler/index.ts';
import type { DType, Shape, Tensor } from '../graph/index.ts';
import { BraidError, Graph } from '../graph/index.ts';
import type { LayerState, StateKind } from '../mixers/index.ts';
import { findLayer } from '../mixers/index.ts';
import type { LayerContext } from '../nn/index.ts';
import { gain, Handover, norm, offer, ParameterList } from '../nn/index.ts';
import { mergePositions, splitPositions, subtract } from '../ops/index.ts';
import { balancedTokens } from './balance.ts';
import type { Block, LayerChoice, ParallelBlock, RoutedBlock, TermBlock } from './block.ts';
import { blockLabel, flatten, hasBareBranches, layersOf } from './block.ts';
import { fuse, requireEqualWidths } from './fuse.ts';
import { findFusion } from './fusion/index.ts';
import type { Range } from './routing/index.ts';
import { findStrategy, stableStrategies } from './routing/index.ts';

/** A state tensor of a model: a persistent source that the program reads and assigns. */
export interface StateBinding {
  readonly name: string;
  readonly kind: StateKind;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** What one branch of a parallel or routed block was given. */
export interface BranchSummary {
  /** The layers of the branch, as in a pattern: `attention+mlp`. */
  readonly label: string;
  /** Layer path of the branch; the cost of its nodes in the graph is the cost of the branch. */
  readonly path: string;
  /** Positions of a row that the branch sees. */
  readonly tokens: number;
}

export interface BlockSummary {
  readonly path: string;
  readonly kind: 'parallel' | 'routed';
  readonly fusion: string;
  readonly strategy?: string;
  /** Share of the first branch in the positions at hand. */
  readonly ratio?: number;
  readonly branches: readonly BranchSummary[];
}

export interface BuildOptions {
  /** Position in the row of the first token: routing by position needs it. */
  readonly start: number;
  /** Read and assign states as persistent sources, with room for `capacity` tokens. */
  readonly states?: { readonly capacity: number } | undefined;
}

export interface BuiltBlocks {
  /** [B, L, D]: the residual stream after the last block, before the final norm. */
  readonly stream: Tensor;
  readonly states: readonly StateBinding[];
  readonly blocks: readonly BlockSummary[];
}

/** Builds blocks one after the other under the path `blocks.0`, `blocks.1` …; plain groups are written out. */
export function buildBlocks(
  x: Tensor,
  blocks: readonly Block[],
  context: LayerContext,
  options: BuildOptions,
): BuiltBlocks {
  const builder = new Builder(options.start);
  const inside = { ...context, handover: new Handover() };
  offer(inside, 'embedding', { stream: x });
  const place = { context: inside, capacity: options.states?.capacity, routed: false };
  const stream = context.graph.scope('blocks', () => builder.sequence(x, flatten(blocks), place));
  return { stream, states: [...builder.states.values()], blocks: builder.summaries };
}

/**
 * Forward model FLOPs of one branch alone on one row of `length` positions, read from its graph (causal scores counted
 * n(n+1)/2).
 */
export function branchFlops(
  block: ParallelBlock | RoutedBlock,
  index: number,
  length: number,
  context: LayerContext,
): number {
  const scratch = scratchContext({ ...context, batch: 1, parameters: new ParameterList() }, length);
  const input = scratch.graph.source('input', 'stream', [1, length, context.width]);
  new Builder(0).branch(input, block, index, { context: scratch, capacity: undefined, routed: false });
  return graphCost(scratch.graph).model;
}

/** The context with a new graph at the same path, fresh inputs, and another length. */
function scratchContext(context: LayerContext, length: number): LayerContext {
  const graph = new Graph();
  const shape = [context.batch, length];
  return {
    ...context,
    graph,
    length,
    handover: new Handover(),
    positions: graph.source('input', 'positions', shape, 'int32'),
    documents: context.documents && graph.source('input', 'documents', shape, 'int32'),
  };
}

/** Where a part is built: the context and what blocks above it decided. */
interface Place {
  readonly context: LayerContext;
  /** Tokens that its append states hold; undefined when states are not carried. */
  readonly capacity: number | undefined;
  /** Inside a branch of a routed block. */
  readonly routed: boolean;
}

class Builder {
  readonly states = new Map<string, StateBinding>();
  readonly summaries: BlockSummary[] = [];
  readonly #start: number;
  readonly #shares = new Map<RoutedBlock, number>();
  #routedBlocks = 0;

  constructor(start: number) {
    this.#start = start;
  }

  sequence(x: Tensor, blocks: ReturnType<typeof flatten>, place: Place): Tensor {
    const { graph } = place.context;
    return blocks.reduce(
      (stream, block, index) => graph.scope(String(index), () => this.#block(stream, block, place)),
      x,
    );
  }

  #block(x: Tensor, block: ReturnType<typeof flatten>[number], place: Place): Tensor {
    switch (block.kind) {
      case 'term':
        return this.#residualLayers(x, block.layers, place);
      case 'parallel':
        return this.#residualLayers(this.#parallel(x, block, place), block.channels, place);
      case 'routed':
        return this.#residualLayers(this.#routed(x, block, place), block.channels, place);
    }
  }

  /** x ← x + layer(norm(x)), for each layer in turn; some layers have the norm inside. */
  #residualLayers(x: Tensor, choices: readonly LayerChoice[], place: Place): Tensor {
    const { context } = place;
    const used = new Map<string, number>();
    return choices.reduce((stream, choice) => {
      const count = (used.get(choice.name) ?? 0) + 1;
      used.set(choice.name, count);
      return context.graph.scope(count > 1 ? `${choice.name}${count}` : choice.name, () => {
        const residual = { ...place, context: { ...context, residual: stream } };
        const input = findLayer(choice.type).ownNorm ? stream : norm(stream, 'norm', context);
        return this.#layer(input, choice, residual);
      });
    }, x);
  }

  #layer(x: Tensor, choice: LayerChoice, { context, capacity }: Place): Tensor {
    const type = findLayer(choice.type);
    const [issue] = type.check(choice.options, context.width);
    if (issue) {
      throw new BraidError('config', `${context.graph.location.path}: '${issue.option}' ${issue.message}`);
    }
    if (capacity === undefined) return type.forward(x, choice.options, context).output;

    const { graph, batch, width } = context;
    const documents = context.documents !== undefined;
    const before: Record<string, Tensor> = {};
    for (const spec of type.states(choice.options, { batch, width, capacity, documents })) {
      const name = `${graph.location.path}.${spec.name}`;
      this.states.set(name, { ...spec, name });
      before[spec.name] = graph.source('state', name, spec.shape, spec.dtype);
    }
    const { output, state = {} } = type.forward(x, choice.options, context, before);
    assignStates(graph, before, state);
    return output;
  }

  #parallel(x: Tensor, block: ParallelBlock, place: Place): Tensor {
    const { context } = place;
    const { graph } = context;
    const { path } = graph.location;
    this.#summarize(
      block,
      path,
      block.branches.map(() => context.length),
    );
    const input = this.#branchInput(x, block, context);
    const streams = block.branches.map((_, index) =>
      graph.lane({ group: path, index }, () => this.branch(input, block, index, place)),
    );
    return fuse(x, streams, block, context);
  }

  #routed(x: Tensor, block: RoutedBlock, place: Place): Tensor {
    const { context } = place;
    const { graph, length } = context;
    const { path } = graph.location;
    const ranges = this.#route(block, place);
    const counts = ranges.map(countPositions);
    this.#summarize(block, path, counts);
    const input = this.#branchInput(x, block, context);
    const built = ranges.flatMap((_, index) => (counts[index] > 0 ? [index] : []));
    const places = ranges.map((_, index) => this.#branchPlace(block, index, place));
    ranges.forEach((_, index) => {
      if (counts[index] === 0) this.#declareBranch(block, index, places[index]);
    });
    const [only] = built;
    // A branch that gets every position needs no gather and no scatter: generation takes this way for each token.
    if (built.length === 1) return fuse(x, [this.branch(input, block, only, places[only])], block, context);

    const parts = ranges.filter((part) => part.length > 0);
    const cut = (tensor: Tensor): Tensor[] => splitPositions(tensor, parts);
    const inputs = cut(input);
    const needsPositions = layersOf(block).some((layer) =>
      findLayer(layer.type).needsPositions(layer.options),
    );
    const positions = needsPositions ? cut(context.positions) : [];
    const documents = context.documents ? cut(context.documents) : [];
    const streams = built.map((index, part) => {
      const seen = {
        ...places[index].context,
        length: counts[index],
        documents: documents[part],
      };
      const inside = {
        ...places[index],
        context: { ...seen, positions: positions[part] ?? context.positions },
      };
      return graph.lane({ group: path, index }, () => this.branch(inputs[part], block, index, inside));
    });
    requireEqualWidths(streams, context);
    return fuse(x, [mergePositions(streams, parts, length)], block, context);
  }

  /**
   * One branch under the path `branchN`: what it hands to the fusion for its input, the shared normed input where
   * branches are bare mixers, else the residual stream.
   */
  branch(input: Tensor, block: ParallelBlock | RoutedBlock, index: number, place: Place): Tensor {
    const { context } = place;
    const { graph } = context;
    const branch = block.branches[index];
    return graph.scope(`branch${index}`, () => {
      if (hasBareBranches(block)) {
        const [choice] = (branch as TermBlock).layers;
        const { norm: normalizeOutput, scale: scaleOutput, projection } = block.fusion;
        const asked = { normalizeOutput, scaleOutput, projectOutput: projection !== 'joint' };
        const bare = { ...context, ...asked, residual: undefined };
        return graph.scope(choice.name, () => this.#layer(input, choice, { ...place, context: bare }));
      }
      const items = flatten([branch]);
      const stream =
        items.length > 1 ? this.sequence(input, items, place) : this.#block(input, items[0], place);
      const taken = findFusion(block.fusion.type).takes === 'stream' ? stream : subtract(stream, input);
      const normed = block.fusion.norm ? norm(taken, 'norm', context) : taken;
      return block.fusion.scale ? gain(normed, 'scale', context) : normed;
    });
  }

  /** Bare mixers share one norm; complete layers have their own. */
  #branchInput(x: Tensor, block: ParallelBlock | RoutedBlock, context: LayerContext): Tensor {
    return hasBareBranches(block) ? norm(x, 'norm', context) : x;
  }

  #route(block: RoutedBlock, { context, capacity, routed }: Place): readonly (readonly Range[])[] {
    const { path } = context.graph.location;
    const { routing } = block;
    const strategy = findStrategy(routing.strategy);
    if (routed) {
      throw new BraidError(
        'pattern',
        `${path}: a routed block cannot stand inside a branch of a routed block.`,
      );
    }
    const branches = block.branches.length;
    if (branches > strategy.mostBranches) {
      throw new BraidError(
        'pattern',
        `${path}: strategy '${strategy.name}' routes between ${strategy.mostBranches} branches at the most; ` +
          `${blockLabel(block)} has ${branches}.`,
      );
    }
    const [issue] = strategy.check(routing, branches);
    if (issue) throw new BraidError('config', `${path}: routing.${issue.option} ${issue.message}`);
    if (capacity !== undefined && !strategy.prefixStable) {
      throw new BraidError(
        'unsupported',
        `${path}: strategy '${strategy.name}' splits a row by its length, so that more tokens change the branch of ` +
          `earlier ones and no state can be carried. Recompute the whole sequence, or use the strategy ${stableStrategies()}.`,
      );
    }
    const { length } = context;
    const layer = this.#routedBlocks++;
    const ratio = strategy.ratio === 'solved' ? this.#share(block, context) : 0;
    return strategy.route({ routing, layer, length, start: this.#start, ratio, branches });
  }

  /** The given share of the first branch, or the one that balances the branches at this length. */
  #share(block: RoutedBlock, context: LayerContext): number {
    const { length } = context;
    const known = block.routing.ratio ?? this.#shares.get(block);
    if (known !== undefined) return known;
    const flops = (index: number) => (positions: number) => branchFlops(block, index, positions, context);
    const share = length > 1 ? balancedTokens(length, flops(0), flops(1)) / length : 0.5;
    this.#shares.set(block, share);
    return share;
  }

  /**
   * Append states of a branch hold only the positions that are routed to it, and nothing is handed over between layers
   * inside and outside: they see different positions.
   */
  #branchPlace(block: RoutedBlock, index: number, place: Place): Place {
    const inside = { ...place, routed: true, context: { ...place.context, handover: new Handover() } };
    if (place.capacity === undefined) return inside;
    const strategy = findStrategy(block.routing.strategy);
    const row = strategy.route({
      routing: block.routing,
      layer: this.#routedBlocks - 1,
      length: place.capacity,
      start: 0,
      ratio: 0,
      branches: block.branches.length,
    });
    return { ...inside, capacity: Math.max(1, countPositions(row[index])) };
  }

  /** Declares the parameters and states of a branch that gets no position: they exist, but nothing reads them. */
  #declareBranch(block: RoutedBlock, index: number, place: Place): void {
    const { graph, batch, width } = place.context;
    const context = scratchContext(place.context, 1);
    const input = context.graph.source('input', 'stream', [batch, 1, width]);
    context.graph.at(graph.location, () => this.branch(input, block, index, { ...place, context }));
  }

  #summarize(block: ParallelBlock | RoutedBlock, path: string, tokens: readonly number[]): void {
    const branches = block.branches.map((branch, index) => ({
      label: blockLabel(branch),
      path: `${path}.branch${index}`,
      tokens: tokens[index],
    }));
    const fusion = block.fusion.type;
    if (block.kind === 'parallel') {
      this.summaries.push({ path, kind: 'parallel', fusion, branches });
      return;
    }
    const total = tokens.reduce((sum, count) => sum + count, 0);
    const { strategy } = block.routing;
    this.summaries.push({ path, kind: 'routed', fusion, strategy, ratio: tokens[0] / total, branches });
  }
}

function countPositions(ranges: readonly Range[]): number {
  return ranges.reduce((count, [start, end]) => count + end - start, 0);
}

function assignStates(graph: Graph, before: LayerState, after: LayerState): void {
  for (const [name, source] of Object.entries(before)) {
    const value = after[name];
    if (!value)
      throw new BraidError('graph', `${graph.location.path} gives no new value of its state '${name}'.`);
    graph.assign(source, value);
  }
}
