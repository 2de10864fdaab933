import type { Graph, Node, Rewritten, Tensor } from '../graph/index.ts';
import { copyNode, rewrite } from '../graph/index.ts';
import { readersOf, resultsOf } from './readers.ts';

/** A sum that a call takes in. */
interface Fold {
  readonly call: Node;
  /** The result of the call that enters the sum. */
  readonly result: Tensor;
  readonly addend: Tensor;
  /** The input of the call that receives it. */
  readonly input: number;
  /** What is added is computed after the call, which has to wait for it. */
  readonly late: boolean;
}

/**
 * Lets calls add up: `add(y, c)` goes where y is a result to which its operation can add (`addends`: matrix products, the
 * backward pass of norms) and that nobody else reads. Most sums of gradients are of this kind. A call that must wait for c
 * moves to the place of the sum; its old copy stays behind as dead code for `eliminateDead`.
 */
export function foldAdds(graph: Graph): Rewritten {
  const folds = findFolds(graph);
  const early = new Map([...folds.values()].filter(({ late }) => !late).map((fold) => [fold.call, fold]));

  return rewrite(graph, (node, inputs, target, map) => {
    const fold = early.get(node) ?? folds.get(node);
    if (!fold) return copyNode(node, inputs, target);
    if (node !== fold.call && !fold.late) return [map(fold.result)];
    const { call, addend, input } = fold;
    const operands = call.inputs.map((tensor) => tensor && map(tensor));
    operands[input] = map(addend);
    return copyNode(call, operands, target);
  });
}

/** By sum, what takes it in. */
function findFolds(graph: Graph): ReadonlyMap<Node, Fold> {
  const readers = readersOf(graph);
  const results = resultsOf(graph);
  const folds = new Map<Node, Fold>();
  const taken = new Set<Node>();

  const foldOf = (sum: Node, index: number): Fold | undefined => {
    const result = sum.inputs[index];
    const addend = sum.inputs[1 - index];
    const { node: call, output } = result?.producer ?? {};
    if (!result || !addend || !call || taken.has(call) || result === addend) return undefined;
    const [, input] = call.operation.addends?.find(([to]) => to === output) ?? [];
    if (input === undefined || call.inputs[input]) return undefined;
    const inFloat = [result, addend, ...sum.outputs].every(({ dtype }) => dtype === 'float32');
    const readOnce = readers.get(result)?.length === 1 && !results.has(result);
    const sameLane = call.lane?.group === sum.lane?.group && call.lane?.index === sum.lane?.index;
    const late = (addend.producer?.node.id ?? -1) > call.id;
    // What else a call computes may be read before the sum.
    if (!inFloat || !readOnce || !sameLane || (late && call.outputs.length > 1)) return undefined;
    return { call, result, addend, input, late };
  };

  for (const sum of graph.nodes) {
    if (sum.operation.name !== 'add') continue;
    // Of two that could, the one computed last: the other is there already.
    const [fold] = [0, 1].flatMap((index) => foldOf(sum, index) ?? []).sort((a, b) => b.call.id - a.call.id);
    if (!fold) continue;
    taken.add(fold.call);
    folds.set(sum, fold);
  }
  return folds;
}
