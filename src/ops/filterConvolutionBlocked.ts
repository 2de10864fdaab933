/**
 * The grouped convolution as products of Toeplitz factors with blocks of the input (Ku et al. 2025, arXiv:2503.01868,
 * sections 3.1 and 3.2), and its gradient. Z_n = Σ_k (H_k ⊙ M) X_{n−k}, where X_n is the input [block, width] of a group
 * in block n and M is zero where row and column are positions of different documents.
 */
import type { FloatValues } from '../graph/index.ts';
import type { FilterOperands } from './filterConvolutionOperands.ts';
import { factorCount } from './filterConvolutionOperands.ts';
import { productOfRows, transposed } from './products.ts';
import type { WindowedGradient } from './window.ts';

/** H_k[i, j] = taps[k·block + i − j], zero outside the filter. */
export function toeplitzFactor(taps: FloatValues, block: number, k: number): Float64Array {
  const factor = new Float64Array(block * block);
  for (let i = 0; i < block; i++) {
    for (let j = 0; j < block; j++) {
      const lag = k * block + i - j;
      if (lag >= 0 && lag < taps.length) factor[i * block + j] = taps[lag];
    }
  }
  return factor;
}

/** A product that makes a block of outputs of one group from a block of inputs. */
interface BlockProduct {
  readonly row: number;
  readonly group: number;
  /** The first positions of both blocks; that of the input may lie before the row. */
  readonly outputStart: number;
  readonly inputStart: number;
  /** Which of the factors it is. */
  readonly k: number;
  /** M [block, block]: 1 where the output may see the input. */
  readonly mask: Float64Array;
}

/** Calls `visit` for every product. */
function forEachProduct(
  operands: FilterOperands,
  block: number,
  visit: (product: BlockProduct) => void,
): void {
  const { batch, length, groups, taps } = operands;
  for (let row = 0; row < batch; row++) {
    for (let outputStart = 0; outputStart < length; outputStart += block) {
      for (let k = 0; k < factorCount(taps, block); k++) {
        const inputStart = outputStart - k * block;
        const mask = visibleInputs(operands, block, row, outputStart, inputStart);
        for (let group = 0; group < groups; group++) {
          visit({ row, group, outputStart, inputStart, k, mask });
        }
      }
    }
  }
}

function visibleInputs(
  { length, sees }: FilterOperands,
  block: number,
  row: number,
  outputStart: number,
  inputStart: number,
): Float64Array {
  return Float64Array.from({ length: block * block }, (_, at) => {
    const t = outputStart + Math.floor(at / block);
    const s = inputStart + (at % block);
    return t < length && s < length && sees(row, s, t) ? 1 : 0;
  });
}

/** The input [width, block] of a group, from position `start`; zero before the window and after the row. */
function inputBlock(
  { length, taps, width, at }: FilterOperands,
  block: number,
  { row, group, inputStart }: BlockProduct,
): Float64Array {
  return Float64Array.from({ length: width * block }, (_, index) => {
    const s = inputStart + (index % block);
    const inside = s >= 1 - taps && s < length;
    return inside ? at(row, s, group * width + Math.floor(index / block)) : 0;
  });
}

/** The place in [B, L, D] of row `i` of an output block and a channel of its group. */
function outputAt(
  { length, channels, width }: FilterOperands,
  { row, group, outputStart }: BlockProduct,
  i: number,
  channel: number,
): number {
  return (row * length + outputStart + i) * channels + group * width + channel;
}

function masked(factor: Float64Array, mask: Float64Array): Float64Array {
  return factor.map((value, i) => value * mask[i]);
}

/** The factors of every group: [group][k]. */
function allFactors({ groups, taps, filter }: FilterOperands, block: number): Float64Array[][] {
  return Array.from({ length: groups }, (_, group) => {
    const own = filter.subarray(group * taps, (group + 1) * taps);
    return Array.from({ length: factorCount(taps, block) }, (_, k) => toeplitzFactor(own, block, k));
  });
}

/** z [B, L, D]. */
export function convolveBlocked(operands: FilterOperands, block: number): Float64Array {
  const { batch, length, channels, width } = operands;
  const z = new Float64Array(batch * length * channels);
  const factors = allFactors(operands, block);
  const product = new Float64Array(block * width);
  forEachProduct(operands, block, (call) => {
    const factor = masked(factors[call.group][call.k], call.mask);
    productOfRows(factor, inputBlock(operands, block, call), product, block, width, block);
    for (let i = 0; i < Math.min(block, length - call.outputStart); i++) {
      for (let channel = 0; channel < width; channel++) {
        z[outputAt(operands, call, i, channel)] += product[i * width + channel];
      }
    }
  });
  return z;
}

/** Adds what comes through z to the gradient of the input, and returns that of the taps [G, K]. */
export function convolveBlockedBack(
  operands: FilterOperands,
  block: number,
  dz: FloatValues,
  gradient: WindowedGradient,
): Float64Array {
  const { length, groups, taps, width } = operands;
  const factors = allFactors(operands, block);
  const dFactors = factors.map((own) => own.map((factor) => new Float64Array(factor.length)));
  const dInput = new Float64Array(block * width);
  const dFactor = new Float64Array(block * block);
  forEachProduct(operands, block, (call) => {
    const dOut = Float64Array.from({ length: block * width }, (_, index) => {
      const i = Math.floor(index / width);
      return call.outputStart + i < length ? dz[outputAt(operands, call, i, index % width)] : 0;
    });
    // dX = (H ⊙ M)ᵀ dZ
    const factor = masked(factors[call.group][call.k], call.mask);
    productOfRows(
      transposed(factor, block, block),
      transposed(dOut, block, width),
      dInput,
      block,
      width,
      block,
    );
    for (let j = 0; j < block; j++) {
      const s = call.inputStart + j;
      if (s < 1 - taps || s >= length) continue;
      for (let channel = 0; channel < width; channel++) {
        gradient.add(call.row, s, call.group * width + channel, dInput[j * width + channel]);
      }
    }
    // dH = (dZ Xᵀ) ⊙ M
    const input = transposed(inputBlock(operands, block, call), width, block);
    productOfRows(dOut, input, dFactor, block, block, width);
    const sum = dFactors[call.group][call.k];
    for (let i = 0; i < sum.length; i++) sum[i] += dFactor[i] * call.mask[i];
  });
  const dTaps = new Float64Array(groups * taps);
  dFactors.forEach((own, group) => {
    own.forEach((sum, k) => {
      addDiagonals(sum, block, k, dTaps.subarray(group * taps, (group + 1) * taps));
    });
  });
  return dTaps;
}

/** Every tap stands on one diagonal of a factor: its gradient is the sum along it. */
function addDiagonals(dFactor: Float64Array, block: number, k: number, dTaps: Float64Array): void {
  for (let i = 0; i < block; i++) {
    for (let j = 0; j < block; j++) {
      const lag = k * block + i - j;
      if (lag >= 0 && lag < dTaps.length) dTaps[lag] += dFactor[i * block + j];
    }
  }
}
