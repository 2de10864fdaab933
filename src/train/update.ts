/** The optimizer's part of a graph: gradient norm, clipping and one AdamW call per parameter. */
import type { Graph, Tensor } from '../graph/index.ts';
import type { ParameterSpec } from '../nn/index.ts';
import { adamw, clipScale, gradientNorm } from '../ops/index.ts';

export interface UpdateOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Of parameters that decay; the others get none. */
  readonly decay: number;
}

/**
 * Adds the update. Inputs, all [1]: `learningRate`, `step` (counted from 1), `maxNorm` (0: no clipping). Outputs: `norm`
 * of all gradients and `scale`, −1 when the update was skipped because norm or loss is not finite. Parameters that have a
 * `shadow` source get their BF16 copy written.
 */
export function addUpdate(
  graph: Graph,
  gradients: ReadonlyMap<ParameterSpec, Tensor>,
  loss: Tensor,
  { beta1, beta2, epsilon, decay }: UpdateOptions,
): void {
  graph.at({ path: 'optimizer', direction: 'update' }, () => {
    const learningRate = graph.source('input', 'learningRate', [1]);
    const step = graph.source('input', 'step', [1]);
    const norm = gradientNorm([...gradients.values()]);
    const scale = clipScale(norm, loss, graph.source('input', 'maxNorm', [1]));
    for (const [spec, g] of gradients) {
      const { name, shape } = spec;
      const p = graph.source('parameter', name, shape);
      const m = graph.source('optimizer', `${name}.m`, shape);
      const v = graph.source('optimizer', `${name}.v`, shape);
      const updated = adamw(
        { p, g, m, v, scale, learningRate, step },
        { beta1, beta2, epsilon, decay: spec.decay ? decay : 0 },
      );
      graph.assign(p, updated.p);
      graph.assign(m, updated.m);
      graph.assign(v, updated.v);
      const shadow = graph.findSource('shadow', name);
      if (shadow) graph.assign(shadow, updated.shadow);
    }
    graph.output('norm', norm);
    graph.output('scale', scale);
  });
}
