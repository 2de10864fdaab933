import type { Graph, Node, Rewritten, Tensor } from '../graph/index.ts';
import { copyNode, rewrite } from '../graph/index.ts';
import { readersOf, resultsOf } from './readers.ts';

/**
 * Lets a call store its results in BF16 itself: a storable output that is read by casts to BF16 only is stored so, and the
 * casts go; other storable outputs of the call stay float32 (`wide`). An operation that gives a rounded copy beside an output
 * (`lowCopies`) does so for casts of what others read in float32. Run it after `eliminateDead`: a dead reader counts as one.
 */
export function foldCasts(graph: Graph): Rewritten {
  const results = resultsOf(graph);
  const readers = readersOf(graph);
  const readLow = (output: Tensor): boolean => {
    const known = readers.get(output) ?? [];
    const lowOnly = known.length > 0 && known.every((reader) => isCastTo(reader, 'bfloat16'));
    return lowOnly && output.dtype === 'float32' && !results.has(output);
  };

  return rewrite(graph, (node, inputs, target) => {
    const [input] = inputs;
    if (input && isCastTo(node, 'bfloat16')) {
      const low = input.dtype === 'bfloat16' ? input : lowCopyOf(input);
      if (low) return [low];
    }
    const storable = node.operation.storableOutputs ?? [];
    if (!storable.some((index) => readLow(node.outputs[index]))) return copyNode(node, inputs, target);
    const wide = storable.filter((index) => {
      const output = node.outputs[index];
      const read = readers.has(output) || results.has(output);
      return output.dtype === 'float32' && read && !readLow(output);
    });
    const { wide: _, ...others } = node.attributes;
    const attributes = { ...others, dtype: 'bfloat16', ...(wide.length > 0 ? { wide } : {}) };
    return target.at(node, () => target.apply(node.operation, inputs, attributes));
  });
}

function isCastTo(node: Node, dtype: string): boolean {
  return node.operation.name === 'cast' && node.attributes.dtype === dtype;
}

function lowCopyOf({ producer }: Tensor): Tensor | undefined {
  const pair = producer?.node.operation.lowCopies?.find(([output]) => output === producer.output);
  return pair && producer?.node.outputs[pair[1]];
}
