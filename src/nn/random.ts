/**
 * Random numbers by counter: the n-th number of a stream is a pure function of (seed, name, n), so that order of use,
 * threads and other streams cannot change it. Generator: Philox 4×32-10 (Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011).
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** High 32 bits of a 32 × 32 bit product, by halves: a double cannot hold all 64 bits. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (cross >>> 16)) >>> 0;
}

/**
 * Ten rounds of Philox on the counter in `block` (four words, overwritten with the result).
 */
export function philox(block: Uint32Array, key0: number, key1: number): void {
  let c0 = block[0];
  let c1 = block[1];
  let c2 = block[2];
  let c3 = block[3];
  let k0 = key0;
  let k1 = key1;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  block[0] = c0;
  block[1] = c1;
  block[2] = c2;
  block[3] = c3;
}

/** Two key words for a stream: the name is absorbed sixteen bytes at a time by Philox keyed with the seed. */
function streamKey(seed: number, name: string): readonly [number, number] {
  const low = seed >>> 0;
  const high = Math.floor(seed / 0x100000000) >>> 0;
  const bytes = new TextEncoder().encode(name);
  const state = new Uint32Array(4);
  // The length comes first, so that zero bytes at the end count.
  state[0] = bytes.length;
  philox(state, low, high);
  for (let start = 0; start < bytes.length; start += 16) {
    for (let i = start; i < Math.min(start + 16, bytes.length); i++) {
      const word = (i - start) >> 2;
      state[word] = state[word] ^ (bytes[i] << (8 * (i & 3)));
    }
    philox(state, low, high);
  }
  return [state[0], state[1]];
}

/** A stream of random numbers, each found by its index (a non-negative integer below 2^53). */
export interface RandomStream {
  uint32(index: number): number;
  /** In (0, 1), both ends excluded. */
  uniform(index: number): number;
  /** Mean 0, deviation 1 (Box and Muller). */
  normal(index: number): number;
  /** `target[i] = low + (high − low) · uniform(offset + i)`. */
  fillUniform(target: Float32Array, low?: number, high?: number, offset?: number): void;
  /** `target[i] = deviation · normal(offset + i)`. */
  fillNormal(target: Float32Array, deviation?: number, offset?: number): void;
}

/**
 * The stream of a seed and a name.
 * @param seed a non-negative integer below 2^53
 */
export function randomStream(seed: number, name: string): RandomStream {
  const [key0, key1] = streamKey(seed, name);
  const words = new Uint32Array(4);
  let loaded = -1;

  const load = (block: number): void => {
    if (block === loaded) return;
    words[0] = block >>> 0;
    words[1] = Math.floor(block / 0x100000000);
    words[2] = 0;
    words[3] = 0;
    philox(words, key0, key1);
    loaded = block;
  };
  const uint32 = (index: number): number => {
    load(Math.floor(index / 4));
    return words[index % 4];
  };
  // The half keeps both ends out, so that a logarithm of the result is finite.
  const toUniform = (word: number): number => (word + 0.5) / 0x100000000;
  const uniform = (index: number): number => toUniform(uint32(index));
  const radius = (word: number): number => Math.sqrt(-2 * Math.log(toUniform(word)));
  const angle = (word: number): number => 2 * Math.PI * toUniform(word);
  const normal = (index: number): number => {
    const first = index - (index % 2);
    const length = radius(uint32(first));
    const turn = angle(uint32(first + 1));
    return length * (index % 2 === 0 ? Math.cos(turn) : Math.sin(turn));
  };

  return {
    uint32,
    uniform,
    normal,
    fillUniform(target, low = 0, high = 1, offset = 0) {
      for (let i = 0; i < target.length; i++) target[i] = low + (high - low) * uniform(offset + i);
    },
    fillNormal(target, deviation = 1, offset = 0) {
      let i = 0;
      for (; i < target.length && (offset + i) % 4 !== 0; i++) target[i] = deviation * normal(offset + i);
      // Whole blocks make two pairs each: a model has hundreds of millions of these.
      for (; i + 4 <= target.length; i += 4) {
        load((offset + i) / 4);
        for (let pair = 0; pair < 4; pair += 2) {
          const length = radius(words[pair]);
          const turn = angle(words[pair + 1]);
          target[i + pair] = deviation * (length * Math.cos(turn));
          target[i + pair + 1] = deviation * (length * Math.sin(turn));
        }
      }
      for (; i < target.length; i++) target[i] = deviation * normal(offset + i);
    },
  };
}
