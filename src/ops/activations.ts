/** The pointwise activations: value, derivative and a rough number of arithmetic operations. */

export type ActivationKind = 'silu' | 'gelu' | 'geluErf' | 'relu2' | 'sigmoid' | 'softplus' | 'tanh' | 'exp';

export interface Activation {
  readonly value: (x: number) => number;
  readonly derivative: (x: number) => number;
  /** Arithmetic operations per element, counting a transcendental function as one. */
  readonly operations: number;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

// GELU in its tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2).
const GELU_SCALE = Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715;
const geluInner = (x: number): number => Math.tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x));

/**
 * The error function by its series of positive terms, e^(−x²) Σ 2ⁿ x^(2n+1) / (2n+1)!! (Abramowitz and Stegun 7.1.6), to
 * the last bits; beyond 6 it is ±1 in float64.
 */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** The distribution of a normal variable. */
const normalShare = (x: number): number => 0.5 * (1 + erf(x / Math.SQRT2));

export const activations: Readonly<Record<ActivationKind, Activation>> = {
  silu: {
    value: (x) => x * sigmoid(x),
    derivative: (x) => {
      const s = sigmoid(x);
      return s * (1 + x * (1 - s));
    },
    operations: 4,
  },
  gelu: {
    value: (x) => 0.5 * x * (1 + geluInner(x)),
    derivative: (x) => {
      const t = geluInner(x);
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * GELU_SCALE * (1 + 3 * GELU_CUBIC * x * x);
    },
    operations: 9,
  },
  // GELU as it is defined, x · Φ(x); Φ′ is the density of a normal variable.
  geluErf: {
    value: (x) => x * normalShare(x),
    derivative: (x) => normalShare(x) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI),
    operations: 12,
  },
  // Squared ReLU (So et al. 2021, Primer, arXiv:2109.08668).
  relu2: {
    value: (x) => (x > 0 ? x * x : 0),
    derivative: (x) => (x > 0 ? 2 * x : 0),
    operations: 2,
  },
  sigmoid: {
    value: sigmoid,
    derivative: (x) => {
      const s = sigmoid(x);
      return s * (1 - s);
    },
    operations: 3,
  },
  softplus: {
    // log(1 + eˣ) without overflow.
    value: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    derivative: sigmoid,
    operations: 4,
  },
  tanh: {
    value: Math.tanh,
    derivative: (x) => {
      const t = Math.tanh(x);
      return 1 - t * t;
    },
    operations: 1,
  },
  exp: { value: Math.exp, derivative: Math.exp, operations: 1 },
};
