/** Weights of few bits, as an option of generation. */
import type { QuantizedBits } from '../ops/index.ts';

/** How generation may read weights instead of as they were trained. */
export const weightFormats = ['int8', 'int4'] as const;
export type WeightFormat = (typeof weightFormats)[number];

export function bitsOf(format: WeightFormat): QuantizedBits {
  return format === 'int8' ? 8 : 4;
}
