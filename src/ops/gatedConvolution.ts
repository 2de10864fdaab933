/**
 * The inside of Hyena with an explicit filter as one operation (Ku et al. 2025, arXiv:2503.01868, equation 1 and algorithm
 * 1): short convolutions of three streams, a gate, a grouped convolution with a skip, a gate. What stands between would
 * cost more time to write and read than to compute again.
 */
import type { FloatValues, Operand, Tensor, TensorType } from '../graph/index.ts';
import { defineOperation } from '../graph/index.ts';
import { traffic } from './cost.ts';
import { readDocuments } from './documents.ts';
import { operand } from './plain.ts';
import type { Fail, FloatType } from './require.ts';
import { FLOAT32, FLOATS, INT32 } from './require.ts';
import type { StoredApart } from './sequence.ts';
import {
  expectType,
  floatsOf,
  optionalFloats,
  requireType,
  sizesOf,
  store,
  storedType,
  storedTypes,
} from './sequence.ts';

export interface GatedConvolutionInputs {
  /** [B, L, D] each, float32 or bfloat16. */
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  /** [D, F] each with F from 2 to 16; the last tap is lag 0. */
  readonly qFilter: Tensor;
  readonly kFilter: Tensor;
  readonly vFilter: Tensor;
  /** [G, K] with K from 2, where G divides D; the first tap is lag 0. */
  readonly taps: Tensor;
  /** [D]. */
  readonly skip?: Tensor | undefined;
  /** [B, L] int32. */
  readonly documents?: Tensor | undefined;
}

type Types = readonly (TensorType | undefined)[];
type Operands = readonly (Operand | undefined)[];

interface Sizes {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
  readonly shortTaps: number;
  readonly groups: number;
  readonly taps: number;
}

/** Checks the operands that forward and backward have in common. */
function checkOperands(inputs: Types, fail: Fail): Sizes {
  const [q, k, v, qFilter, kFilter, vFilter, filter, skip, documents] = inputs;
  const [batch, length, channels] = sizesOf(q, 'q', 'B, L, D', fail);
  const shortTaps = sizesOf(qFilter, 'qFilter', 'D, F', fail)[1];
  const [groups, taps] = sizesOf(filter, 'taps', 'G, K', fail);
  if (shortTaps < 2 || shortTaps > 16) {
    return fail(`the short filters have ${shortTaps} taps; 2 to 16 are possible.`);
  }
  if (taps < 2) return fail(`the filter has one tap; it needs at least 2 (one tap is 'multiplyChannels').`);
  if (channels % groups !== 0) {
    return fail(`${channels} channels cannot share ${groups} filters evenly; the filters must divide them.`);
  }
  const stream = [batch, length, channels];
  expectType(q, 'q', stream, FLOATS, fail);
  requireType(k, 'k', stream, FLOATS, fail);
  requireType(v, 'v', stream, FLOATS, fail);
  expectType(qFilter, 'qFilter', [channels, shortTaps], FLOAT32, fail);
  requireType(kFilter, 'kFilter', [channels, shortTaps], FLOAT32, fail);
  requireType(vFilter, 'vFilter', [channels, shortTaps], FLOAT32, fail);
  expectType(filter, 'taps', [groups, taps], FLOAT32, fail);
  expectType(skip, 'skip', [channels], FLOAT32, fail);
  expectType(documents, 'documents', [batch, length], INT32, fail);
  return { batch, length, channels, shortTaps, groups, taps };
}

function sizesGiven(inputs: Types): Sizes {
  const [batch, length, channels] = inputs[0]?.shape ?? [];
  const [groups, taps] = inputs[6]?.shape ?? [];
  return { batch, length, channels, shortTaps: inputs[3]?.shape[1] ?? 0, groups, taps };
}

/** Multiply-adds of all filters, and what else is done for each number of a stream. */
function countsOf(inputs: Types): { readonly products: number; readonly elementwise: number } {
  const { batch, length, channels, shortTaps, taps } = sizesGiven(inputs);
  const numbers = batch * length * channels;
  return { products: numbers * (3 * shortTaps + taps), elementwise: numbers * (inputs[7] ? 4 : 2) };
}

/** A filter of every channel: `at` is the place of a tap among the values. */
interface ChannelFilter {
  readonly values: FloatValues;
  readonly taps: number;
  at(channel: number, lag: number): number;
}

/** The operands as the plain meanings read them. */
class PlainGated {
  readonly sizes: Sizes;
  readonly streams: readonly FloatValues[];
  readonly shortFilters: readonly ChannelFilter[];
  readonly filter: ChannelFilter;
  readonly skip: FloatValues | undefined;
  readonly #same: (row: number, s: number, t: number) => boolean;

  constructor(inputs: Operands) {
    this.sizes = sizesGiven(inputs);
    const { batch, length, channels, shortTaps, groups, taps } = this.sizes;
    this.streams = [0, 1, 2].map((index) => floatsOf(operand(inputs, index), 'stream'));
    this.shortFilters = [3, 4, 5].map((index) => ({
      values: floatsOf(operand(inputs, index), 'filter'),
      taps: shortTaps,
      at: (channel, lag) => channel * shortTaps + shortTaps - 1 - lag,
    }));
    const width = channels / groups;
    const at = (channel: number, lag: number): number => Math.floor(channel / width) * taps + lag;
    this.filter = { values: floatsOf(inputs[6], 'taps'), taps, at };
    this.skip = optionalFloats(inputs[7], 'skip');
    this.#same = readDocuments([batch, length], inputs[8], undefined).same;
  }

  /** visit(place of the output, of the input, of the tap) for every pair that a filter connects. */
  #forPairs({ taps, at }: ChannelFilter, visit: (to: number, from: number, tap: number) => void): void {
    const { batch, length, channels } = this.sizes;
    for (let row = 0; row < batch; row++) {
      for (let t = 0; t < length; t++) {
        for (let lag = 0; lag < taps && lag <= t; lag++) {
          if (!this.#same(row, t - lag, t)) break;
          const to = (row * length + t) * channels;
          for (let channel = 0; channel < channels; channel++) {
            visit(to + channel, to - lag * channels + channel, at(channel, lag));
          }
        }
      }
    }
  }

  filtered(x: FloatValues, filter: ChannelFilter): Float64Array {
    const y = new Float64Array(x.length);
    this.#forPairs(filter, (to, from, tap) => {
      y[to] += filter.values[tap] * x[from];
    });
    return y;
  }

  /** Gradients of the input and of the taps. */
  back(x: FloatValues, filter: ChannelFilter, dy: FloatValues): { dx: Float64Array; dTaps: Float64Array } {
    const dx = new Float64Array(x.length);
    const dTaps = new Float64Array(filter.values.length);
    this.#forPairs(filter, (to, from, tap) => {
      dx[from] += filter.values[tap] * dy[to];
      dTaps[tap] += x[from] * dy[to];
    });
    return { dx, dTaps };
  }

  /** The filtered streams, the gated input u and z = h ∗ u + skip ⊙ u. */
  forward(): { q: Float64Array; k: Float64Array; v: Float64Array; u: Float64Array; z: Float64Array } {
    const [q, k, v] = this.streams.map((x, index) => this.filtered(x, this.shortFilters[index]));
    const u = k.map((value, i) => value * v[i]);
    const z = this.filtered(u, this.filter);
    const { skip } = this;
    return { q, k, v, u, z: skip ? z.map((value, i) => value + skip[i % skip.length] * u[i]) : z };
  }
}

const gatedConvolutionBackwardOperation = defineOperation<StoredApart>({
  name: 'gatedConvolutionBackward',
  infer(inputs, attributes, fail) {
    const { batch, length, channels, shortTaps, groups, taps } = checkOperands(inputs, fail);
    const stream = [batch, length, channels];
    requireType(inputs[9], 'dy', stream, FLOATS, fail);
    const filter: TensorType = { shape: [channels, shortTaps], dtype: 'float32' };
    return [
      ...storedTypes([stream, stream, stream], attributes, fail),
      ...[filter, filter, filter],
      { shape: [groups, taps], dtype: 'float32' },
      { shape: [channels], dtype: 'float32' },
    ];
  },
  cost(inputs, outputs) {
    const { products, elementwise } = countsOf(inputs);
    // Everything forward once more, then twice that.
    return {
      model: 0,
      executed: 6 * products,
      elementwise: 3 * elementwise,
      bytes: traffic(inputs, outputs),
    };
  },
  /** Sums of the taps' gradients of every channel, in whole vectors of sixteen. */
  workspace(inputs) {
    const { channels, taps } = sizesGiven(inputs);
    return 4 * 16 * Math.ceil(channels / 16) * taps;
  },
  evaluate(inputs, outputs) {
    const plain = new PlainGated(inputs);
    const dy = floatsOf(inputs[9], 'dy');
    const { q, k, v, u, z } = plain.forward();
    const { skip } = plain;
    const dz = q.map((value, i) => value * dy[i]);
    const { dx: du, dTaps } = plain.back(u, plain.filter, dz);
    const dSkip = new Float64Array(plain.sizes.channels);
    dz.forEach((value, i) => {
      const channel = i % dSkip.length;
      dSkip[channel] += value * u[i];
      if (skip) du[i] += value * skip[channel];
    });
    const dFiltered = [
      z.map((value, i) => value * dy[i]),
      du.map((d, i) => d * v[i]),
      du.map((d, i) => d * k[i]),
    ];
    plain.streams.forEach((x, index) => {
      const { dx, dTaps: dFilter } = plain.back(x, plain.shortFilters[index], dFiltered[index]);
      store(outputs[index], dx);
      store(outputs[3 + index], dFilter);
    });
    store(outputs[6], dTaps);
    store(outputs[7], dSkip);
  },
  lowPrecisionInputs: [9],
  storableOutputs: [0, 1, 2],
});

const gatedConvolutionOperation = defineOperation<StoredApart>({
  name: 'gatedConvolution',
  infer(inputs, { dtype }, fail) {
    const { batch, length, channels } = checkOperands(inputs, fail);
    return [storedType([batch, length, channels], dtype, fail)];
  },
  gradient({ inputs }, [dy]) {
    const [q] = inputs;
    if (!q || !dy) return inputs.map(() => undefined);
    const gradients = q.graph.apply(gatedConvolutionBackwardOperation, [...inputs, dy], { dtype: 'float32' });
    return inputs.map((input, index) => (index < 8 && input ? gradients[index] : undefined));
  },
  cost(inputs, outputs) {
    const { products, elementwise } = countsOf(inputs);
    const model = 2 * products;
    return { model, executed: model, elementwise, bytes: traffic(inputs, outputs) };
  },
  evaluate(inputs, outputs) {
    const { q, z } = new PlainGated(inputs).forward();
    store(
      outputs[0],
      q.map((value, i) => value * z[i]),
    );
  },
  storableOutputs: [0],
});

/**
 * y = q̂ ⊙ (h ∗ u + skip ⊙ u) with u = k̂ ⊙ v̂, where q̂, k̂ and v̂ are the streams after `causalConvolution` with a filter of
 * their own, and h ∗ u is `filterConvolution` with `taps`. Nothing is read across a document boundary or before the row.
 * y is [B, L, D]. On a CPU with a matrix unit, and where q, k and v are stored in bfloat16, the operands of the products
 * inside are rounded to bfloat16 too, for filters of 16 taps or more that 16 neighbours share; sums stay float32.
 */
export function gatedConvolution(
  { q, k, v, qFilter, kFilter, vFilter, taps, skip, documents }: GatedConvolutionInputs,
  options: { readonly dtype?: FloatType } = {},
): Tensor {
  return q.graph.apply(
    gatedConvolutionOperation,
    [q, k, v, qFilter, kFilter, vFilter, taps, skip, documents],
    { dtype: options.dtype ?? 'float32' },
  )[0];
}
