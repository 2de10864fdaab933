/**
 * Activations in half the memory: what the forward pass keeps is stored in BF16 where everybody who reads it can widen it.
 */
import type { Graph, Node, Rewritten, Tensor, TensorType } from '../graph/index.ts';
import { copyNode, rewrite, sameShape } from '../graph/index.ts';
import { readersOf, resultsOf } from './readers.ts';

/**
 * Stores results of forward calls (recomputed ones too) in BF16 when all their readers accept that: gates, queries, keys and values,
 * the inputs of convolutions and scans. The residual stream, which is made of sums, gradients, and whatever the host or
 * a persistent tensor receives stay float32. Run it after `lowerPrecision` and `eliminateDead`: a dead reader counts.
 */
export function storeActivations(graph: Graph): Rewritten {
  const readers = readersOf(graph);
  const results = resultsOf(graph);

  const canBeLow = (tensor: Tensor): boolean =>
    tensor.dtype === 'float32' &&
    !results.has(tensor) &&
    (readers.get(tensor) ?? []).every((reader) => acceptsLow(reader, tensor, canBeLow));

  const storesLow = (node: Node): boolean => {
    if (!isActivation(node) || isSum(node)) return false;
    const storable = (node.operation.storableOutputs ?? []).map((index) => node.outputs[index]);
    return storable.some((output) => readers.has(output)) && storable.every(canBeLow);
  };

  return rewrite(graph, (node, inputs, target) => {
    const [input] = inputs;
    // What used to be cast is stored so already.
    if (node.operation.name === 'cast' && input && input.dtype === node.attributes.dtype) return [input];
    if (!storesLow(node)) return copyNode(node, inputs, target);
    return target.at(node, () =>
      target.apply(node.operation, inputs, { ...node.attributes, dtype: 'bfloat16' }),
    );
  });
}

function isActivation(node: Node): boolean {
  return node.direction === 'forward' || node.path.endsWith('.recompute');
}

/** Sums carry the residual stream: rounding them would round every layer before. */
function isSum(node: Node): boolean {
  return (
    node.operation.name === 'add' || (node.operation.addends ?? []).some(([, input]) => node.inputs[input])
  );
}

/**
 * Whether a call would run with `tensor` in BF16. Its results must stay as they are, or become BF16 themselves (as those of
 * `reshape` and `split` do) where their readers accept it in turn.
 */
function acceptsLow(reader: Node, tensor: Tensor, canBeLow: (result: Tensor) => boolean): boolean {
  const inputs = reader.inputs.map((input): TensorType | undefined =>
    input === tensor ? { shape: tensor.shape, dtype: 'bfloat16' } : input,
  );
  let types: TensorType[];
  try {
    types = reader.operation.infer(inputs, reader.attributes, refuse);
  } catch (error) {
    if (error === refused) return false;
    throw error;
  }
  return reader.outputs.every((output, index) => {
    const { dtype, shape } = types[index];
    if (!sameShape(shape, output.shape)) return false;
    return dtype === output.dtype || (dtype === 'bfloat16' && canBeLow(output));
  });
}

const refused = new Error('An operation does not accept these types.');

function refuse(): never {
  throw refused;
}
