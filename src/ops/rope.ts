/** Rotary position embedding (Su et al. 2021, RoFormer, arXiv:2104.09864), in the half-split form of LLaMA. */
import type { Tensor } from '../graph/index.ts';
import { defineOperation, describeType, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import { operand } from './plain.ts';
import { FLOAT32, INT32, optionalInput, requireInput, requireRank, requireShape } from './require.ts';

type RopeAttributes = { readonly theta: number; readonly inverse: boolean };

const ropeOperation = defineOperation<RopeAttributes>({
  name: 'rope',
  infer(inputs, { theta }, fail) {
    const x = requireInput(inputs, 0, 'x', FLOAT32, fail);
    const positions = requireInput(inputs, 1, 'positions', INT32, fail);
    const documents = optionalInput(inputs, 2, 'documents', INT32, fail);
    requireRank(x, 'x', '[B, L, H, D]', 4, fail);
    if (x.shape[3] % 2 !== 0) return fail(`pairs need an even last axis, 'x' is ${describeType(x)}.`);
    requireShape(positions, x.shape.slice(0, 2), 'positions', fail);
    if (documents) requireShape(documents, x.shape.slice(0, 2), 'documents', fail);
    if (!(theta > 0 && Number.isFinite(theta)))
      return fail(`attribute theta is ${theta}; it must be above 0.`);
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  gradient({ inputs: [x, positions, documents], attributes: { theta, inverse } }, [dy]) {
    if (!x || !positions || !dy) return [];
    return [rope(dy, positions, { theta, inverse: !inverse, documents }), undefined, undefined];
  },
  cost: (inputs, outputs) => elementwiseCost(3 * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [y], { theta, inverse }) {
    if (!y) return;
    const x = operand(inputs, 0);
    const positions = operand(inputs, 1).values;
    const documents = inputs[2]?.values;
    const [, , heads, width] = x.shape;
    const half = width / 2;
    for (let token = 0; token < positions.length; token++) {
      const position = positions[token] - (documents?.[token] ?? 0);
      for (let pair = 0; pair < half; pair++) {
        const angle = position * theta ** ((-2 * pair) / width);
        const cosine = Math.cos(angle);
        const sine = inverse ? -Math.sin(angle) : Math.sin(angle);
        for (let head = 0; head < heads; head++) {
          const first = (token * heads + head) * width + pair;
          const a = x.values[first];
          const b = x.values[first + half];
          y.values[first] = a * cosine - b * sine;
          y.values[first + half] = b * cosine + a * sine;
        }
      }
    }
  },
});

export interface RopeOptions {
  /** Base of the wavelengths; LLaMA: 10000. */
  readonly theta: number;
  /** Turn back instead. Default: false. */
  readonly inverse?: boolean;
  /** [B, L] int32: where the document of each position starts; positions count from there. */
  readonly documents?: Tensor | undefined;
}

/**
 * Rotates the pairs (i, i + D/2) of x[B, L, H, D] by (position − document) · θ^(−2i/D). `positions` is [B, L] int32; D is
 * even.
 */
export function rope(x: Tensor, positions: Tensor, options: RopeOptions): Tensor {
  const { theta, inverse = false, documents } = options;
  return graphOf([x, positions]).apply(ropeOperation, [x, positions, documents], { theta, inverse })[0];
}
