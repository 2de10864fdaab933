/** Cases of weights with few bits: whole blocks and partly empty ones, few rows and many. */
import { floats, givenFloats } from '../../src/ops/testing.ts';
import type { OperationCase } from './compare.ts';
import { evaluatePlain } from './compare.ts';

export function quantizedCases(): OperationCase[] {
  return [4, 8].flatMap((bits) => [...weights(bits), ...products(bits)]);
}

function weights(bits: number): OperationCase[] {
  const attributes = { bits };
  const special = givenFloats(
    [1, 64],
    Array.from({ length: 64 }, (_, i) => (i < 32 ? 0 : [-3, 3, 0.5, -0.5][i % 4])),
  );
  const given = [
    ...[[1, 32] as const, [3, 96] as const, [37, 160] as const].map((shape) => floats(shape, { seed: 11 })),
    special,
  ];
  return given.flatMap((w): OperationCase[] => {
    const title = `${bits} bits, ${w.shape}`;
    const quantized = evaluatePlain('quantizeWeight', [w], attributes);
    return [
      { operation: 'quantizeWeight', title, inputs: [w], attributes },
      { operation: 'dequantizeWeight', title, inputs: quantized, attributes },
    ];
  });
}

function products(bits: number): OperationCase[] {
  const sizes = [
    [1, 1, 32],
    [1, 21, 96],
    [3, 16, 128],
    [5, 37, 160],
    [16, 33, 544],
    [17, 70, 96],
    [40, 33, 288],
  ] as const;
  return sizes.flatMap(([m, n, k]): OperationCase[] => {
    const a = floats([m, k], { seed: 12 });
    const [packed, scales] = evaluatePlain('quantizeWeight', [floats([n, k], { seed: 13 })], { bits });
    const title = `${bits} bits, ${m} × ${n} × ${k}`;
    const common = { operation: 'quantizedMatmul', attributes: { bits, dtype: 'float32' }, half: [0] };
    const addend = floats([m, n], { seed: 14 });
    const bias = floats([n], { seed: 15 });
    return [
      { ...common, title, inputs: [a, packed, scales, undefined, undefined] },
      { ...common, title: `${title}, added to`, inputs: [a, packed, scales, bias, addend] },
    ];
  });
}
