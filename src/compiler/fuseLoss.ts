import type { Graph, Node, Rewritten, Tensor } from '../graph/index.ts';
import { copyNode, findOperation, rewrite } from '../graph/index.ts';
import { readersOf, resultsOf } from './readers.ts';

/**
 * Joins `linearCrossEntropy` and its backward call into `linearCrossEntropyWithGradient`, which computes each chunk of
 * logits once instead of twice. Done where the gradient of the loss is the constant 1 and the log-sum-exp has no other
 * reader. The old forward call stays behind as dead code for `eliminateDead`.
 */
export function fuseLoss(graph: Graph): Rewritten {
  const forwardOf = findPairs(graph);
  const forwards = new Set(forwardOf.values());
  const fused = new Map<Node, readonly Tensor[]>();

  return rewrite(graph, (node, inputs, target) => {
    const known = fused.get(forwardOf.get(node) ?? node);
    if (known) return known.slice(2);
    const outputs = copyNode(node, inputs, target);
    if (!forwards.has(node)) return outputs;
    const operation = findOperation('linearCrossEntropyWithGradient');
    const together = target.at(node, () => target.apply(operation, inputs, node.attributes));
    fused.set(node, together);
    return [together[0], together[1], outputs[2]];
  });
}

/** Backward calls that can be done together with their forward call, and that forward call. */
function findPairs(graph: Graph): ReadonlyMap<Node, Node> {
  const readers = readersOf(graph);
  const results = resultsOf(graph);
  const pairs = new Map<Node, Node>();
  for (const node of graph.nodes) {
    if (node.operation.name !== 'linearCrossEntropyBackward') continue;
    const [x, w, targets, weights, logsumexp, dLoss] = node.inputs;
    const forward = logsumexp?.producer?.node;
    if (!logsumexp || !forward || forward.operation.name !== 'linearCrossEntropy') continue;
    const sameOperands = [x, w, targets, weights].every((tensor, index) => tensor === forward.inputs[index]);
    const readOnce = readers.get(logsumexp)?.length === 1 && !results.has(logsumexp);
    if (sameOperands && readOnce && isOne(dLoss)) pairs.set(node, forward);
  }
  return pairs;
}

function isOne(tensor: Tensor | undefined): boolean {
  const node = tensor?.producer?.node;
  return node?.operation.name === 'fill' && node.attributes.value === 1;
}
