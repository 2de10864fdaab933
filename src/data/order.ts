/**
 * A permutation of 0 … count−1 that is computed one element at a time, with no table: a Feistel network over the next
 * even power of two, with counter-based random numbers as its round function, repeated until the result falls below
 * `count` (cycle walking; Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
 */
import { randomStream } from '../nn/random.ts';

const ROUNDS = 6;

/** The order of one epoch of a text of a mixture: `order(i)` is the row that comes i-th. */
export function permutation(count: number, seed: number, epoch: number, text = 0): (index: number) => number {
  const stream = randomStream(seed, text === 0 ? `order.${epoch}` : `order.${epoch}.${text}`);
  const half = Math.max(1, Math.ceil(Math.log2(Math.max(2, count)) / 2));
  const side = 2 ** half;
  const scramble = (value: number): number => {
    let left = Math.floor(value / side);
    let right = value % side;
    for (let round = 0; round < ROUNDS; round++) {
      const mixed = (left ^ stream.uint32(round * side + right)) & (side - 1);
      left = right;
      right = mixed;
    }
    return left * side + right;
  };
  return (index) => {
    let value = scramble(index);
    while (value >= count) value = scramble(value);
    return value;
  };
}
