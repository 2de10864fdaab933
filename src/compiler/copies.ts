/**
 * New values of persistent tensors. A call may write straight into the buffer of the old value when nobody needs that any
 * more; this file says when, and inserts copies where it does not hold.
 */
import type { Graph, Node, Tensor } from '../graph/index.ts';
import { copyNode, isPersistent, rewrite } from '../graph/index.ts';
import { cast } from '../ops/index.ts';
import { readersOf } from './readers.ts';
import type { Place } from './schedule.ts';
import { isBefore } from './schedule.ts';

/** The tensor in whose buffer the values are: the one below all aliases. */
export function rootOf(tensor: Tensor): Tensor {
  let root = tensor;
  for (let node = root.producer?.node; node?.operation.alias; node = root.producer?.node) {
    const [below] = node.inputs;
    if (!below) break;
    root = below;
  }
  return root;
}

/**
 * A copy of the graph in which persistent tensors are copied wherever their buffer cannot stand for the tensor: seen in another
 * shape (a store knows one shape of each), as a result for the host (the next run would change it), or as the new value
 * of another persistent tensor (which may be overwritten before it is stored there).
 */
export function copyPersistentViews(graph: Graph): Graph {
  const { graph: target } = rewrite(graph, (node, inputs, built) => {
    const [input] = inputs;
    if (!node.operation.alias || !input || !isPersistent(input.role)) return copyNode(node, inputs, built);
    return copyNode(node, [built.at(node, () => cast(input, input.dtype))], built);
  });
  for (const [name, tensor] of target.outputs) {
    if (isPersistent(tensor.role)) target.outputs.set(name, copyAtEnd(target, tensor));
  }
  for (const [source, value] of target.assignments) {
    if (isPersistent(value.role)) target.assignments.set(source, copyAtEnd(target, value));
  }
  return target;
}

/** Puts a copy after all other calls for each assignment whose value cannot be computed in place. */
export function copyAssignments(graph: Graph, places: ReadonlyMap<Node, Place>): void {
  const direct = directAssignments(graph, places);
  for (const [source, value] of graph.assignments) {
    if (!direct.has(value)) graph.assignments.set(source, copyAtEnd(graph, value));
  }
}

function copyAtEnd(graph: Graph, tensor: Tensor): Tensor {
  return graph.at({ path: '', direction: 'update' }, () => cast(tensor, tensor.dtype));
}

/** Computed values that are written straight into the buffer of a persistent tensor, with that tensor. */
export function directAssignments(
  graph: Graph,
  places: ReadonlyMap<Node, Place>,
): ReadonlyMap<Tensor, Tensor> {
  const readers = readersOf(graph);
  const taken = new Set(graph.outputs.values());
  const direct = new Map<Tensor, Tensor>();
  for (const [source, value] of graph.assignments) {
    const seenOtherwise = readers.get(value)?.some((reader) => reader.operation.alias);
    if (taken.has(value) || seenOtherwise) continue;
    if (canReplace(source, value, readers.get(source) ?? [], places)) {
      direct.set(value, source);
      taken.add(value);
    }
  }
  return direct;
}

/** Whether the call that computes `value` may overwrite `source`. */
function canReplace(
  source: Tensor,
  value: Tensor,
  readers: readonly Node[],
  places: ReadonlyMap<Node, Place>,
): boolean {
  const { node, output } = value.producer ?? {};
  const place = node && places.get(node);
  if (!node || !place) return false;
  for (const reader of readers) {
    if (reader === node) continue;
    const read = places.get(reader);
    if (!read || !isBefore(read, place)) return false;
  }
  return node.inputs.every(
    (input, index) =>
      input !== source || node.operation.inPlace?.some(([o, i]) => o === output && i === index),
  );
}
