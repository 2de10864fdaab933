/**
 * Low-rank additions to linear layers (Hu et al. 2021, LoRA): layers that share their weights differ by them.
 */
import type { Tensor } from '../graph/index.ts';
import { matmul } from '../ops/index.ts';
import type { LayerContext } from './context.ts';
import { parameter } from './context.ts';

export interface Adapters {
  readonly rank: number;
  /** Layer path under which their parameters stand. */
  readonly path: string;
  /** Names of the linear layers that are adapted, each with the name of its projection in: several may share one. */
  readonly inputs: Readonly<Record<string, string>>;
}

/**
 * What the adapter of a linear layer adds to its result, or nothing where it has none: B A x with A = `INPUT.in.weight`
 * [rank, D] and B = `NAME.out.weight` [outputs, rank], which starts at 0.
 * @param x [B, L, D]
 */
export function adaptation(
  x: Tensor,
  name: string,
  outputs: number,
  context: LayerContext,
): Tensor | undefined {
  const { adapters, graph } = context;
  const input = adapters?.inputs[name];
  if (!adapters || input === undefined) return undefined;
  const { rank, path } = adapters;
  return graph.at({ ...graph.location, path }, () => {
    const start = { kind: 'normal', deviation: context.deviation } as const;
    const features = x.shape[x.shape.length - 1];
    const down = parameter(context, `${input}.in.weight`, [rank, features], start);
    const up = parameter(context, `${name}.out.weight`, [outputs, rank], { kind: 'constant', value: 0 });
    return matmul(matmul(x, down, { transposeB: true }), up, { transposeB: true });
  });
}
