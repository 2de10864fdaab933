/** The bounds of Mamba-2's time step, [0, ∞] in most configurations. */
import type { Fields, Json } from '../fields.ts';

/** A bound above every time step: the option of the layer takes finite numbers. */
const endless = 1e30;

/** The option `dtLimit`, absent where there is no bound. */
export function readTimeLimit(fields: Fields): Json {
  if (!fields.has('time_step_limit')) return {};
  const [low = 0, high = 0] = fields.numbers('time_step_limit', 2);
  return low <= 0 && high === Number.POSITIVE_INFINITY ? {} : { dtLimit: [low, Math.min(high, endless)] };
}

export function writeTimeLimit(limit: unknown): Json {
  const infinity = { __float__: 'Infinity' };
  if (!Array.isArray(limit)) return { time_step_limit: [0, infinity] };
  const [low, high] = limit as readonly number[];
  return { time_step_limit: [low, high >= endless ? infinity : high] };
}
