/** The grouped convolution tap by tap, and its gradient. */
import type { FloatValues } from '../graph/index.ts';
import type { FilterOperands } from './filterConvolutionOperands.ts';
import type { WindowedGradient } from './window.ts';

/** z[b, t, channel] = Σ_τ taps[g, τ] u[b, t − τ, channel]. */
export function convolveDirect(operands: FilterOperands): Float64Array {
  const { batch, length, channels } = operands;
  const z = new Float64Array(batch * length * channels);
  forEachTap(operands, (row, t, s, tap, channel) => {
    z[(row * length + t) * channels + channel] += operands.filter[tap] * operands.at(row, s, channel);
  });
  return z;
}

/** Adds what comes through z to the gradient of the input, and returns that of the taps [G, K]. */
export function convolveDirectBack(
  operands: FilterOperands,
  dz: FloatValues,
  gradient: WindowedGradient,
): Float64Array {
  const { length, channels, filter } = operands;
  const dTaps = new Float64Array(filter.length);
  forEachTap(operands, (row, t, s, tap, channel) => {
    const dOut = dz[(row * length + t) * channels + channel];
    dTaps[tap] += dOut * operands.at(row, s, channel);
    gradient.add(row, s, channel, dOut * filter[tap]);
  });
  return dTaps;
}

/** Calls `visit` for every output at `t` and input at `s` that a tap (an index into [G, K]) joins. */
function forEachTap(
  { batch, length, groups, width, taps, sees }: FilterOperands,
  visit: (row: number, t: number, s: number, tap: number, channel: number) => void,
): void {
  for (let row = 0; row < batch; row++) {
    for (let t = 0; t < length; t++) {
      for (let lag = 0; lag < taps; lag++) {
        if (!sees(row, t - lag, t)) continue;
        for (let channel = 0; channel < groups * width; channel++) {
          visit(row, t, t - lag, Math.floor(channel / width) * taps + lag, channel);
        }
      }
    }
  }
}
