/** Products with weights of few bits in the place of products with whole ones, for generation. */
import type { Graph, Tensor } from '../graph/index.ts';
import { copyNode, rewrite } from '../graph/index.ts';
import type { QuantizedBits } from '../ops/index.ts';
import { QUANTIZED_GROUP, quantizedMatmul, quantizedTypes } from '../ops/index.ts';

/** A weight [N, K] that a program reads in few bits, and the names of the persistent tensors that stand for it. */
export interface QuantizedWeight {
  /** Of the parameter. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly bits: QuantizedBits;
}

/**
 * The sources for the integers and the scales of a weight. They are `shadow` tensors like the BF16 copy, under names of
 * their own.
 */
export function quantizedSources(
  graph: Graph,
  { name, shape, bits }: QuantizedWeight,
): { packed: Tensor; scales: Tensor } {
  const { packed, scales } = quantizedTypes(shape, bits);
  return {
    packed: graph.source('shadow', `${name}.int${bits}`, packed.shape, packed.dtype),
    scales: graph.source('shadow', `${name}.int${bits}.scales`, scales.shape, scales.dtype),
  };
}

/**
 * Gives every `matmul` with a weight [N, K] (a parameter or its BF16 copy, K a multiple of 32) that weight in `bits` bits.
 * Other weights stay as they are: those of convolutions, norms, states and experts, and embedding tables, of which
 * a token reads one row. Runs after all other passes.
 */
export function quantizeWeights(
  graph: Graph,
  bits: QuantizedBits,
): { graph: Graph; weights: readonly QuantizedWeight[] } {
  const weights = new Map<string, QuantizedWeight>();
  const { graph: quantized } = rewrite(graph, (node, inputs, target) => {
    const weight = node.inputs[1];
    const [a, , bias, addend] = inputs;
    const { transposeB, dtype } = node.attributes;
    const fits =
      node.operation.name === 'matmul' &&
      transposeB === true &&
      (weight?.role === 'parameter' || weight?.role === 'shadow') &&
      weight.shape[1] % QUANTIZED_GROUP === 0;
    if (!fits || !a) return copyNode(node, inputs, target);
    const spec: QuantizedWeight = { name: weight.name, shape: weight.shape, bits };
    weights.set(spec.name, spec);
    return target.at(node, () => {
      const { packed, scales } = quantizedSources(target, spec);
      const stored = dtype === 'bfloat16' ? dtype : 'float32';
      return [quantizedMatmul(a, packed, scales, { bits, dtype: stored, bias, addend })];
    });
  });
  return { graph: quantized, weights: [...weights.values()] };
}
