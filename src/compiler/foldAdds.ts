import type { Graph, Node, Rewritten, Tensor } from '../graph/index.ts';
import { copyNode, rewrite } from '../graph/index.ts';
import { readersOf, resultsOf } from './readers.ts';

/** The operand of `matmul` that is added to its product. */
const ADDEND = 3;

/**
 * Lets matrix products add up: `add(matmul(a, b), c)` becomes one `matmul` with the addend `c` where nobody else reads the
 * product. Most sums of gradients are of this kind. The product moves to the place of the sum; the old one stays behind
 * as dead code for `eliminateDead`.
 */
export function foldAdds(graph: Graph): Rewritten {
  const readers = readersOf(graph);
  const results = resultsOf(graph);
  const operandsOf = new Map<Node, readonly (Tensor | undefined)[]>();

  /** The product that a sum can take in: of two, the one computed last. */
  const productOf = (sum: Node): number => {
    if (sum.operation.name !== 'add') return -1;
    const products = sum.inputs.flatMap((input, index) => {
      const node = input?.producer?.node;
      const other = sum.inputs[1 - index];
      const foldable =
        input &&
        node?.operation.name === 'matmul' &&
        !node.inputs[ADDEND] &&
        input.dtype === 'float32' &&
        other?.dtype === 'float32' &&
        other !== input &&
        readers.get(input)?.length === 1 &&
        !results.has(input) &&
        node.lane?.group === sum.lane?.group &&
        node.lane?.index === sum.lane?.index;
      return foldable ? [{ index, id: node.id }] : [];
    });
    return products.sort((a, b) => b.id - a.id)[0]?.index ?? -1;
  };

  return rewrite(graph, (node, inputs, target) => {
    if (node.operation.name === 'matmul') operandsOf.set(node, inputs);
    const index = productOf(node);
    const product = node.inputs[index]?.producer?.node;
    const operands = product && operandsOf.get(product);
    if (!product || !operands) return copyNode(node, inputs, target);
    const [a, b, bias] = operands;
    const attributes = { ...product.attributes, dtype: node.attributes.dtype };
    return target.at(product, () =>
      target.apply(product.operation, [a, b, bias, inputs[1 - index]], attributes),
    );
  });
}
