import type { Graph, Node, Tensor } from '../graph/index.ts';

/** The calls that read each tensor, in order; a call that reads it twice stands there once. */
export function readersOf(graph: Graph): ReadonlyMap<Tensor, readonly Node[]> {
  const readers = new Map<Tensor, Node[]>();
  for (const node of graph.nodes) {
    for (const input of new Set(node.inputs)) {
      if (!input) continue;
      const known = readers.get(input);
      if (known) known.push(node);
      else readers.set(input, [node]);
    }
  }
  return readers;
}

/** Tensors that live on after the calls: results for the host and new values of persistent tensors. */
export function resultsOf(graph: Graph): ReadonlySet<Tensor> {
  return new Set([...graph.outputs.values(), ...graph.assignments.values()]);
}
