/**
 * Parameters as declarations: name, shape, how to fill them, whether weight decay applies. Values are made from a seed
 * and the parameter's name alone, so that adding a layer does not change what another one starts from.
 */
import type { Shape } from '../graph/index.ts';
import { BraidError, elementCount } from '../graph/index.ts';
import { randomStream } from './random.ts';

/** How a parameter is filled. Data, not a function, so that it can be printed, stored and compared. */
export type Initializer =
  | { readonly kind: 'normal'; readonly deviation: number }
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | { readonly kind: 'constant'; readonly value: number }
  /** log(1), log(2) … log(N) along the last axis: S4D-real, the A of Mamba (Gu and Dao 2023, section 3.6). */
  | { readonly kind: 'logRange' }
  /**
   * b with softplus(b) log-uniform in [low, high]: the time step bias of Mamba (Gu and Dao 2023, section 3.6).
   */
  | { readonly kind: 'inverseSoftplus'; readonly low: number; readonly high: number }
  /** log(u) with u uniform in [low, high]: the A of Mamba-2 (Dao and Gu 2024), the poles of modal filters. */
  | { readonly kind: 'logUniform'; readonly low: number; readonly high: number }
  /**
   * b with e^(−softplus(b)) = a and a² uniform in [low², high²]: decays spread evenly over a ring (Orvieto et al. 2023,
   * lemma 3.2), as in the recurrent unit of Griffin (De et al. 2024, section 2.4).
   */
  | { readonly kind: 'ringDecay'; readonly low: number; readonly high: number }
  /**
   * [G, K]: e^(−τ/ρ_g) at τ = 0, 1 … along the last axis, with ρ_g spaced evenly by its logarithm from `longest` (first
   * row) to `shortest`.
   */
  | { readonly kind: 'fadingTaps'; readonly shortest: number; readonly longest: number };

export interface ParameterSpec {
  /** Path of the layer and the name inside it, such as `blocks.0.attention.query.weight`. */
  readonly name: string;
  readonly shape: Shape;
  readonly initializer: Initializer;
  /** Whether the optimizer decays it. */
  readonly decay: boolean;
  /**
   * Part of the model and of its checkpoints, but not trained by gradients: it stays as it is, or the layer itself gives
   * new values while it trains.
   */
  readonly fixed?: boolean;
}

/** Fills `target` with the initial values of a parameter. The same seed and name always give the same values. */
export function initialize(spec: ParameterSpec, seed: number, target: Float32Array): void {
  const count = elementCount(spec.shape);
  if (target.length !== count) {
    throw new BraidError(
      'shape',
      `Parameter '${spec.name}' has ${count} values, but the target of its initialisation holds ${target.length}.`,
    );
  }
  const { initializer } = spec;
  switch (initializer.kind) {
    case 'constant':
      target.fill(initializer.value);
      return;
    case 'logRange': {
      const last = spec.shape[spec.shape.length - 1];
      for (let i = 0; i < count; i++) target[i] = Math.log((i % last) + 1);
      return;
    }
    case 'normal':
      randomStream(seed, spec.name).fillNormal(target, initializer.deviation);
      return;
    case 'uniform':
      randomStream(seed, spec.name).fillUniform(target, initializer.low, initializer.high);
      return;
    case 'inverseSoftplus': {
      const stream = randomStream(seed, spec.name);
      const low = Math.log(initializer.low);
      const high = Math.log(initializer.high);
      for (let i = 0; i < count; i++) {
        target[i] = inverseSoftplus(Math.exp(low + (high - low) * stream.uniform(i)));
      }
      return;
    }
    case 'logUniform': {
      const stream = randomStream(seed, spec.name);
      const { low, high } = initializer;
      for (let i = 0; i < count; i++) target[i] = Math.log(low + (high - low) * stream.uniform(i));
      return;
    }
    case 'ringDecay': {
      const stream = randomStream(seed, spec.name);
      const [low, high] = [initializer.low ** 2, initializer.high ** 2];
      for (let i = 0; i < count; i++) {
        target[i] = inverseSoftplus(-0.5 * Math.log(low + (high - low) * stream.uniform(i)));
      }
      return;
    }
    case 'fadingTaps': {
      const [groups, taps] = spec.shape;
      const { shortest, longest } = initializer;
      for (let g = 0; g < groups; g++) {
        const length = longest * (shortest / longest) ** (groups > 1 ? g / (groups - 1) : 0);
        for (let lag = 0; lag < taps; lag++) target[g * taps + lag] = Math.exp(-lag / length);
      }
    }
  }
}

/** b with softplus(b) = x, for x above zero. */
function inverseSoftplus(x: number): number {
  return x + Math.log(-Math.expm1(-x));
}

/** The parameters of a model, in the order in which its layers declare them. A layer that is used twice counts once. */
export class ParameterList {
  readonly #specs = new Map<string, ParameterSpec>();

  add(spec: ParameterSpec): void {
    const known = this.#specs.get(spec.name);
    if (known && JSON.stringify(known) !== JSON.stringify(spec)) {
      throw new BraidError(
        'graph',
        `Parameter '${spec.name}' is declared twice with different shape, initialisation or decay. ` +
          'Give one of the layers another name.',
      );
    }
    this.#specs.set(spec.name, spec);
  }

  get specs(): readonly ParameterSpec[] {
    return [...this.#specs.values()];
  }
}
