import type { Graph, Node, Rewritten } from '../graph/index.ts';
import { copyNode, rewrite } from '../graph/index.ts';
import { readersOf, resultsOf } from './readers.ts';

/**
 * Lets a call store its result in BF16 itself where nobody reads it in float32: when all readers of its storable outputs
 * are casts to BF16, the call gets the attribute `dtype: 'bfloat16'` and the casts go. Run it after `eliminateDead`: a
 * dead reader counts as one.
 */
export function foldCasts(graph: Graph): Rewritten {
  const results = resultsOf(graph);
  const readers = readersOf(graph);
  const foldable = (node: Node): boolean => {
    const storable = (node.operation.storableOutputs ?? []).map((index) => node.outputs[index]);
    const read = storable.filter((output) => (readers.get(output)?.length ?? 0) > 0);
    return (
      read.length > 0 &&
      storable.every(
        (output) =>
          output.dtype === 'float32' &&
          !results.has(output) &&
          (readers.get(output) ?? []).every((reader) => isCastTo(reader, 'bfloat16')),
      )
    );
  };

  return rewrite(graph, (node, inputs, target) => {
    const [input] = inputs;
    if (input && isCastTo(node, 'bfloat16') && input.dtype === 'bfloat16') return [input];
    if (!foldable(node)) return copyNode(node, inputs, target);
    return target.at(node, () =>
      target.apply(node.operation, inputs, { ...node.attributes, dtype: 'bfloat16' }),
    );
  });
}

function isCastTo(node: Node, dtype: string): boolean {
  return node.operation.name === 'cast' && node.attributes.dtype === dtype;
}
