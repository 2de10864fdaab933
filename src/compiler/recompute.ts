/**
 * Memory for time: what a block computes between its borders is forgotten after the forward pass and computed again
 * when the backward pass needs it (Chen et al. 2016, "Training deep nets with sublinear memory cost").
 */
import type { Graph, Node, Rewritten, Tensor } from '../graph/index.ts';
import { BraidError, copyNode, rewrite } from '../graph/index.ts';
import { isUnder } from './graphCost.ts';
import { readersOf, resultsOf } from './readers.ts';

/**
 * Lets the backward pass of a differentiated graph read recomputed activations of the given blocks (layer paths such as
 * `blocks.0`). Tensors at a block's border (what enters it, and what the rest of the forward pass reads) are kept. What
 * the backward pass needs of a block is recomputed before its first backward call; the copies carry the path and the
 * group of lanes with `.recompute`. Executed FLOPs grow, model FLOPs do not.
 *
 * @throws BraidError('graph') when no forward call lies under one of the paths.
 */
export function recompute(graph: Graph, blocks: readonly string[]): Rewritten {
  const members = blocks.map((path) => blockCalls(graph, path));
  const forgotten = forgottenTensors(graph, members);
  const inputsOf = new Map<Node, readonly (Tensor | undefined)[]>();
  const copies = new Map<Tensor, Tensor>();

  const repeat = (block: Block, target: Graph): void => {
    for (const node of callsToRepeat(graph, block, forgotten)) {
      const known = inputsOf.get(node) ?? [];
      const inputs = node.inputs.map((old, index) => (old && copies.get(old)) ?? known[index]);
      const lane = node.lane && { group: `${node.lane.group}.recompute`, index: node.lane.index };
      const path = node.path === '' ? 'recompute' : `${node.path}.recompute`;
      const outputs = target.at({ path, direction: 'backward', lane }, () =>
        target.apply(node.operation, inputs, node.attributes),
      );
      node.outputs.forEach((old, index) => {
        if (forgotten.has(old)) copies.set(old, outputs[index]);
      });
    }
  };

  return rewrite(graph, (node, inputs, target) => {
    if (node.direction === 'forward') {
      inputsOf.set(node, inputs);
      return copyNode(node, inputs, target);
    }
    const read = node.inputs.map((old, index) => {
      const block = old && forgotten.get(old);
      if (!block) return inputs[index];
      if (!copies.has(old)) repeat(block, target);
      return copies.get(old);
    });
    return copyNode(node, read, target);
  });
}

type Block = ReadonlySet<Node>;

function blockCalls(graph: Graph, path: string): Block {
  const calls = graph.nodes.filter((node) => node.direction === 'forward' && isUnder(node.path, path));
  if (calls.length === 0) {
    const known = new Set(graph.nodes.map((node) => node.path.split('.').slice(0, 2).join('.')));
    throw new BraidError(
      'graph',
      `Nothing to recompute: no forward call lies under '${path}'. Paths are ${[...known].join(', ')}.`,
    );
  }
  return new Set(calls);
}

/** Tensors that only their own block and the backward pass read, with their block. */
function forgottenTensors(graph: Graph, blocks: readonly Block[]): ReadonlyMap<Tensor, Block> {
  const readers = readersOf(graph);
  const results = resultsOf(graph);
  const forgotten = new Map<Tensor, Block>();
  for (const block of blocks) {
    for (const output of [...block].flatMap((node) => node.outputs)) {
      const inside = (reader: Node): boolean => reader.direction !== 'forward' || block.has(reader);
      if (!results.has(output) && (readers.get(output) ?? []).every(inside)) forgotten.set(output, block);
    }
  }
  return forgotten;
}

/** The calls of a block on which its backward pass depends, as far as the forgotten tensors lead back. */
function callsToRepeat(graph: Graph, block: Block, forgotten: ReadonlyMap<Tensor, Block>): readonly Node[] {
  const needed = new Set(
    graph.nodes.filter((node) => node.direction !== 'forward').flatMap((node) => node.inputs),
  );
  const repeated: Node[] = [];
  for (const node of [...block].reverse()) {
    if (!node.outputs.some((output) => forgotten.has(output) && needed.has(output))) continue;
    repeated.push(node);
    for (const input of node.inputs) needed.add(input);
  }
  return repeated.reverse();
}
