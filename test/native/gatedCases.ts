/** Cases of the gated convolution: short and long filters, groups narrower and wider than a vector, documents. */
import { floats } from '../../src/ops/testing.ts';
import type { OperationCase } from './compare.ts';
import { documentsOf } from './histories.ts';

export function gatedCases(): OperationCase[] {
  // Length, channels, channels of a group, short taps, taps.
  const sizes = [
    [1, 3, 1, 3, 2],
    [2, 16, 16, 3, 7],
    [9, 18, 3, 2, 4],
    [70, 64, 16, 3, 7],
    [131, 80, 16, 3, 7],
    [66, 20, 20, 5, 40],
    [300, 32, 16, 3, 128],
    [257, 96, 32, 3, 33],
    [40, 17, 17, 4, 100],
    [140, 48, 48, 3, 129],
    [200, 16, 16, 3, 18],
  ];
  return sizes.flatMap(([length, channels, width, shortTaps, taps], size): OperationCase[] => {
    const stream = [2, length, channels];
    const streams = [201, 202, 203, 204].map((seed) => floats(stream, { seed }));
    const filters = [205, 206, 207].map((seed) => floats([channels, shortTaps], { seed }));
    const half = Math.ceil(length / 2);
    const rows = [[length], length > 2 ? [half, 1, length - half - 1] : Array(length).fill(1)];
    const rest = [
      floats([channels / width, taps], { seed: 208 }),
      size % 2 === 0 ? floats([channels], { seed: 209 }) : undefined,
    ];
    return [undefined, documentsOf(rows)].flatMap((documents): OperationCase[] => {
      const title = `${length} × ${channels} by ${width}, taps ${shortTaps} and ${taps}${documents ? ', documents' : ''}`;
      const inputs = [...streams.slice(0, 3), ...filters, ...rest, documents];
      const attributes = { dtype: 'float32' };
      return [
        { operation: 'gatedConvolution', title, inputs, attributes, half: [0, 1, 2] },
        {
          operation: 'gatedConvolutionBackward',
          title,
          inputs: [...inputs, streams[3]],
          attributes,
          half: [0, 1, 2, 9],
          outputs: rest[1] ? [0, 1, 2, 3, 4, 5, 6, 7] : [0, 1, 2, 3, 4, 5, 6],
        },
      ];
    });
  });
}
