/**
 * BF16 for the operands of matrix products, by casts put into the graph. Works on forward graphs and on differentiated
 * ones: the gradient that enters a matrix product is cast like any other operand.
 */
import type { Graph, Node, Rewritten, Tensor } from '../graph/index.ts';
import { rewrite } from '../graph/index.ts';
import { cast } from '../ops/index.ts';

/**
 * Gives every input that an operation lists in `lowPrecisionInputs` as bfloat16.
 *
 * There is one cast per tensor, at the place of the call that computes it. That of a parameter is its `shadow` source, which the
 * optimizer keeps equal to the rounded parameter. A cast goes below an alias (`reshape`), so that the shapes of one tensor
 * share it and `foldCasts` finds it beside the call that can store BF16 itself.
 */
export function lowerPrecision(graph: Graph): Rewritten {
  const wanted = wantedLow(graph);
  const low = new Map<Tensor, Tensor>();

  return rewrite(graph, (node, inputs, target) => {
    const lowered = (index: number): Tensor | undefined => {
      const [old, mapped] = [node.inputs[index], inputs[index]];
      if (!old || !mapped || old.dtype !== 'float32') return mapped;
      const known = low.get(old);
      if (known) return known;
      // Everything computed was lowered where it was computed: this is a source, met for the first time.
      const { lane: _, ...outside } = node;
      const made =
        old.role === 'parameter'
          ? target.source('shadow', old.name, old.shape, 'bfloat16')
          : target.at(outside, () => cast(mapped, 'bfloat16'));
      low.set(old, made);
      return made;
    };

    if (isCastToLow(node)) {
      const result = lowered(0);
      return result ? [result] : [];
    }
    const operands = inputs.map((input, index) =>
      node.operation.lowPrecisionInputs?.includes(index) ? lowered(index) : input,
    );
    return target.at(node, () => {
      const outputs = target.apply(node.operation, operands, node.attributes);
      node.outputs.forEach((old, index) => {
        const output = outputs[index];
        if (output && wanted.has(old)) low.set(old, lowForm(node, inputs[0], lowered, output));
      });
      return outputs;
    });
  });
}

/** The BF16 form of what a call computes. */
function lowForm(
  node: Node,
  input: Tensor | undefined,
  lowered: (index: number) => Tensor | undefined,
  output: Tensor,
): Tensor {
  if (node.operation.alias) {
    const below = lowered(0);
    if (below) return output.graph.apply(node.operation, [below], node.attributes)[0];
  }
  // What was widened from BF16 is there in BF16 already.
  if (node.operation.name === 'cast' && input?.dtype === 'bfloat16') return input;
  return cast(output, 'bfloat16');
}

/** Float32 tensors that some call will read as BF16. */
function wantedLow(graph: Graph): ReadonlySet<Tensor> {
  const wanted = new Set<Tensor>();
  const want = (tensor: Tensor | undefined): void => {
    if (tensor?.dtype !== 'float32' || wanted.has(tensor)) return;
    wanted.add(tensor);
    const node = tensor.producer?.node;
    if (node?.operation.alias) want(node.inputs[0]);
  };
  for (const node of graph.nodes) {
    for (const index of node.operation.lowPrecisionInputs ?? []) want(node.inputs[index]);
    if (isCastToLow(node)) want(node.inputs[0]);
  }
  return wanted;
}

function isCastToLow(node: Node): boolean {
  return node.operation.name === 'cast' && node.attributes.dtype === 'bfloat16';
}
