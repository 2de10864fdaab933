/** Rotary position embedding (Su et al. 2021, RoFormer, arXiv:2104.09864), in the half-split form of LLaMA. */
import type { Tensor } from '../graph/index.ts';
import { defineOperation, describeType, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import type { Stored } from './elementwise.ts';
import { operand, roundStored } from './plain.ts';
import type { Fail, FloatType } from './require.ts';
import {
  FLOATS,
  INT32,
  optionalInput,
  requireFloatType,
  requireInput,
  requireRank,
  requireShape,
} from './require.ts';

/** Longer sequences than a model was trained on: how its frequencies are lowered. */
export type RopeScaling =
  /** All by `factor` (Chen et al. 2023, arXiv:2306.15595): positions come `factor` times closer. */
  | { readonly kind: 'linear'; readonly factor: number }
  /**
   * By wavelength (Llama 3, Dubey et al. 2024): those that turn at least `highFactor` times in `originalLength` positions
   * stay, those that turn less than `lowFactor` times are divided by `factor`, those between by something between.
   */
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFactor: number;
      readonly highFactor: number;
      readonly originalLength: number;
    };

/** `dimensions` absent: all; `factor` absent: not scaled; `lowFactor` absent: scaled linearly. */
type RopeAttributes = {
  readonly theta: number;
  readonly inverse: boolean;
  readonly dtype: FloatType;
  readonly dimensions?: number | undefined;
  readonly factor?: number | undefined;
  readonly lowFactor?: number | undefined;
  readonly highFactor?: number | undefined;
  readonly originalLength?: number | undefined;
};

function requireScaling(attributes: RopeAttributes, fail: Fail): void {
  const { factor, lowFactor = 1, highFactor = 2, originalLength = 1 } = attributes;
  for (const [name, value] of Object.entries({ factor, lowFactor, highFactor, originalLength })) {
    if (value !== undefined && !(value > 0 && Number.isFinite(value))) {
      fail(`attribute ${name} is ${value}; it must be above 0.`);
    }
  }
  if (lowFactor >= highFactor) {
    fail(`attribute lowFactor is ${lowFactor}; it must be below highFactor, which is ${highFactor}.`);
  }
}

/** Radians per position of the pairs, from the fastest. */
function frequencies(rotated: number, attributes: RopeAttributes): Float64Array {
  const { theta, factor = 1, lowFactor, highFactor = 0, originalLength = 0 } = attributes;
  return Float64Array.from({ length: rotated / 2 }, (_, pair) => {
    const frequency = theta ** ((-2 * pair) / rotated);
    if (lowFactor === undefined) return frequency / factor;
    const turns = (originalLength * frequency) / (2 * Math.PI);
    const kept = Math.min(1, Math.max(0, (turns - lowFactor) / (highFactor - lowFactor)));
    return kept * frequency + ((1 - kept) * frequency) / factor;
  });
}

const ropeOperation = defineOperation<RopeAttributes>({
  name: 'rope',
  storableOutputs: [0],
  infer(inputs, attributes, fail) {
    const { theta, dtype } = attributes;
    const x = requireInput(inputs, 0, 'x', FLOATS, fail);
    const positions = requireInput(inputs, 1, 'positions', INT32, fail);
    const documents = optionalInput(inputs, 2, 'documents', INT32, fail);
    requireRank(x, 'x', '[B, L, H, D]', 4, fail);
    const { dimensions = x.shape[3] } = attributes;
    if (dimensions % 2 !== 0) {
      return attributes.dimensions === undefined
        ? fail(`pairs need an even last axis, 'x' is ${describeType(x)}.`)
        : fail(`attribute dimensions is ${dimensions}; pairs need an even number.`);
    }
    if (!Number.isInteger(dimensions) || dimensions < 2 || dimensions > x.shape[3]) {
      return fail(`attribute dimensions is ${dimensions}; allowed: 2 to ${x.shape[3]}.`);
    }
    requireShape(positions, x.shape.slice(0, 2), 'positions', fail);
    if (documents) requireShape(documents, x.shape.slice(0, 2), 'documents', fail);
    if (!(theta > 0 && Number.isFinite(theta)))
      return fail(`attribute theta is ${theta}; it must be above 0.`);
    requireScaling(attributes, fail);
    requireFloatType(dtype, fail);
    return [{ shape: x.shape, dtype }];
  },
  gradient({ inputs: [x, positions, documents], attributes }, [dy]) {
    if (!x || !positions || !dy) return [];
    const back: RopeAttributes = { ...attributes, inverse: !attributes.inverse, dtype: 'float32' };
    return [turn(dy, positions, documents, back), undefined, undefined];
  },
  cost: (inputs, outputs) => elementwiseCost(3 * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [y], attributes) {
    if (!y) return;
    const x = operand(inputs, 0);
    const positions = operand(inputs, 1).values;
    const documents = inputs[2]?.values;
    const [, , heads, width] = x.shape;
    const { dimensions = width, inverse } = attributes;
    const half = dimensions / 2;
    const speeds = frequencies(dimensions, attributes);
    y.values.set(x.values);
    for (let token = 0; token < positions.length; token++) {
      const position = positions[token] - (documents?.[token] ?? 0);
      for (let pair = 0; pair < half; pair++) {
        const angle = position * speeds[pair];
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
    roundStored(y);
  },
});

function turn(
  x: Tensor,
  positions: Tensor,
  documents: Tensor | undefined,
  attributes: RopeAttributes,
): Tensor {
  return graphOf([x, positions]).apply(ropeOperation, [x, positions, documents], attributes)[0];
}

export interface RopeOptions extends Stored {
  /** Base of the wavelengths; LLaMA: 10000. */
  readonly theta: number;
  /** Turn back instead. Default: false. */
  readonly inverse?: boolean;
  /** R: the first R features of a head are turned, the others stay. Default: all. */
  readonly dimensions?: number | undefined;
  readonly scaling?: RopeScaling | undefined;
  /** [B, L] int32: where the document of each position starts; positions count from there. */
  readonly documents?: Tensor | undefined;
}

/**
 * Rotates the pairs (i, i + R/2) of x[B, L, H, D], float32 or bfloat16, by (position − document) · θ^(−2i/R), or by less
 * where the frequencies are scaled. `positions` is [B, L] int32; R is even. Angles and products are float32.
 */
export function rope(x: Tensor, positions: Tensor, options: RopeOptions): Tensor {
  const { theta, inverse = false, dtype = 'float32', documents, dimensions } = options;
  const { kind, ...scaling } = options.scaling ?? { kind: 'none' };
  return turn(x, positions, documents, {
    ...{ theta, inverse, dtype },
    ...(dimensions === undefined ? {} : { dimensions }),
    ...(kind === 'none' ? {} : scaling),
  });
}
