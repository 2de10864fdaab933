/** What a graph costs, read off its calls: there is no other formula for cost anywhere. */
import type { Cost, Graph } from '../graph/index.ts';

/**
 * `model` counts forward calls only: training costs three times as much by definition (`trainingFlops`), and
 * recomputation nothing. `executed`, `elementwise` and `bytes` count every call of the graph, recomputed ones included.
 */
export interface GraphCost extends Cost {
  /** Cost by the path of the calls, in the order in which paths first occur. */
  readonly paths: ReadonlyMap<string, Cost>;
  /** Sum over a layer path and everything below it, such as `blocks.0`. */
  under(path: string): Cost;
}

const nothing: Cost = { model: 0, executed: 0, elementwise: 0, bytes: 0 };

function plus(a: Cost, b: Cost): Cost {
  return {
    model: a.model + b.model,
    executed: a.executed + b.executed,
    elementwise: a.elementwise + b.elementwise,
    bytes: a.bytes + b.bytes,
  };
}

export function graphCost(graph: Graph): GraphCost {
  const paths = new Map<string, Cost>();
  let total = nothing;
  for (const node of graph.nodes) {
    const counted = node.operation.cost(node.inputs, node.outputs, node.attributes);
    const cost = node.direction === 'forward' ? counted : { ...counted, model: 0 };
    paths.set(node.path, plus(paths.get(node.path) ?? nothing, cost));
    total = plus(total, cost);
  }
  const under = (path: string): Cost => {
    let sum = nothing;
    for (const [candidate, cost] of paths) if (isUnder(candidate, path)) sum = plus(sum, cost);
    return sum;
  };
  return { ...total, paths, under };
}

/** Model FLOPs of a training step: forward, and twice that for the gradients of inputs and weights. */
export function trainingFlops(cost: Cost): number {
  return 3 * cost.model;
}

/** Whether a layer path is the given one or lies below it. */
export function isUnder(candidate: string, path: string): boolean {
  return path === '' || candidate === path || candidate.startsWith(`${path}.`);
}
