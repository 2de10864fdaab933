/** Where the time steps of Mamba start. */
import type { Initializer } from '../nn/index.ts';

/** Biases such that softplus(bias) is log-uniform in [0.001, 0.1] (Gu and Dao 2023, section 3.6). */
export const timeStepBias: Initializer = { kind: 'inverseSoftplus', low: 1e-3, high: 0.1 };
