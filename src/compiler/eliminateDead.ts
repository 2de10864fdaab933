import type { Graph, Node, Rewritten, Tensor } from '../graph/index.ts';
import { copyNode, rewrite } from '../graph/index.ts';

/** The calls on which an output or an assignment depends. */
function liveNodes(graph: Graph): ReadonlySet<Node> {
  const live = new Set<Node>();
  const wanted: Tensor[] = [...graph.outputs.values(), ...graph.assignments.values()];
  for (let tensor = wanted.pop(); tensor; tensor = wanted.pop()) {
    const node = tensor.producer?.node;
    if (!node || live.has(node)) continue;
    live.add(node);
    for (const input of node.inputs) if (input) wanted.push(input);
  }
  return live;
}

/** Leaves out every call whose results reach no output and no assignment. Sources stay, read or not. */
export function eliminateDead(graph: Graph): Rewritten {
  const live = liveNodes(graph);
  return rewrite(graph, copyNode, (node) => live.has(node));
}
