/** Cases of operations on tensors, elements, channels and positions. */
import type { Shape } from '../../src/graph/index.ts';
import { floats, integers, randomIntegers } from '../../src/ops/testing.ts';
import type { Given, OperationCase } from './compare.ts';
import { inHalf } from './compare.ts';

/** One element, less than a vector, just more than one, and enough to wake the other threads. */
const shapes: readonly Shape[] = [[1], [3, 5], [1, 17], [2, 3, 64], [5, 1703]];

export function tensorCases(): OperationCase[] {
  return [...storage(), ...elementwise(), ...channels(), ...positions(), ...caches()];
}

function one(value: number): Given {
  return { shape: [1], dtype: 'float32', values: [value] };
}

function storage(): OperationCase[] {
  const x = floats([2, 3, 40], { seed: 2 });
  const parts = [1, 16, 23].map((size, i) => floats([2, 3, size], { seed: i }));
  return [
    ...shapes.map((shape) => ({
      operation: 'cast',
      title: `to bfloat16 ${shape}`,
      inputs: [floats(shape)],
      attributes: { dtype: 'bfloat16' },
    })),
    ...shapes.map((shape) => ({
      operation: 'cast',
      title: `to float32 ${shape}`,
      inputs: [inHalf(floats(shape))],
      attributes: { dtype: 'float32' },
    })),
    ...['float32', 'bfloat16', 'int32'].map((dtype) => ({
      operation: 'fill',
      title: dtype,
      inputs: [floats([1])],
      attributes: { shape: [3, 37], dtype, value: 5 },
    })),
    { operation: 'split', title: 'three parts', inputs: [x], attributes: { sizes: [1, 16, 23] }, half: [0] },
    { operation: 'split', title: 'one part', inputs: [x], attributes: { sizes: [40] }, half: [0] },
    { operation: 'concat', title: 'three parts', inputs: parts, attributes: {}, half: [0, 1, 2] },
  ];
}

function elementwise(): OperationCase[] {
  const kinds = ['silu', 'gelu', 'geluErf', 'relu2', 'sigmoid', 'softplus', 'tanh', 'exp'];
  const kindsFor = (shape: Shape): string[] => (shape.length === 3 ? kinds : ['silu']);
  const dtype = 'float32';
  const wide = (shape: Shape, seed: number): Given => floats(shape, { seed, low: -9, high: 9 });
  return shapes.flatMap((shape): OperationCase[] => {
    const title = `${shape}`;
    const a = floats(shape, { seed: 3 });
    const b = floats(shape, { seed: 4 });
    return [
      ...['add', 'subtract', 'multiply'].map((operation) => ({
        operation,
        title,
        inputs: [a, b],
        attributes: { dtype },
        half: [0, 1],
      })),
      { operation: 'scale', title, inputs: [a], attributes: { factor: -1.5, dtype } },
      { operation: 'multiplyScalar', title, inputs: [a, one(0.7)], attributes: {} },
      { operation: 'sum', title, inputs: [floats(shape, { low: 0 })], attributes: {} },
      {
        operation: 'dot',
        title,
        inputs: [floats(shape, { low: 0 }), floats(shape, { seed: 8, low: 0 })],
        attributes: {},
      },
      ...kindsFor(shape).flatMap((kind): OperationCase[] => [
        {
          operation: 'activation',
          title: `${kind} ${title}`,
          inputs: [wide(shape, 5)],
          attributes: { kind, dtype },
          half: [0],
        },
        {
          operation: 'activationBackward',
          title: `${kind} ${title}`,
          inputs: [wide(shape, 6), b],
          attributes: { kind, dtype },
          half: [0, 1],
        },
        {
          operation: 'glu',
          title: `${kind} ${title}`,
          inputs: [wide(shape, 7), b],
          attributes: { kind, dtype },
          half: [0, 1],
        },
        {
          operation: 'gluBackward',
          title: `${kind} ${title}`,
          inputs: [wide(shape, 8), a, b],
          attributes: { kind, dtype },
          half: [0, 1, 2],
        },
      ]),
    ];
  });
}

function channels(): OperationCase[] {
  return shapes.flatMap((shape): OperationCase[] => {
    const x = floats(shape, { seed: 11 });
    const y = floats(shape, { seed: 12 });
    const w = floats(shape.slice(-1), { seed: 13 });
    const title = `${shape}`;
    return [
      { operation: 'multiplyChannels', title, inputs: [x, w], attributes: { dtype: 'float32' } },
      { operation: 'addChannels', title, inputs: [x, w], attributes: { dtype: 'float32' } },
      { operation: 'channelDot', title, inputs: [x, y], attributes: {} },
      { operation: 'channelSum', title, inputs: [x], attributes: {} },
    ];
  });
}

function positions(): OperationCase[] {
  const ranges = [
    [
      [0, 2],
      [5, 9],
    ],
    [
      [2, 5],
      [9, 10],
    ],
  ];
  const gaps = [
    [[1, 3]],
    [
      [7, 8],
      [9, 10],
    ],
  ];
  return [[3], [2, 5], [700]].flatMap((rest): OperationCase[] => {
    const title = `[…, ${rest}]`;
    const x = floats([2, 10, ...rest], { seed: 14 });
    const six = floats([2, 6, ...rest], { seed: 15 });
    const four = floats([2, 4, ...rest], { seed: 16 });
    const two = floats([2, 2, ...rest], { seed: 17 });
    const count = 20 * rest.reduce((a, b) => a * b, 1);
    return [
      { operation: 'splitPositions', title, inputs: [x], attributes: { ranges }, half: [0] },
      {
        operation: 'splitPositions',
        title: `int32 ${title}`,
        inputs: [
          integers(
            x.shape,
            Array.from({ length: count }, (_, i) => i),
          ),
        ],
        attributes: { ranges },
      },
      {
        operation: 'splitPositions',
        title: `gaps ${title}`,
        inputs: [x],
        attributes: { ranges: gaps },
        half: [0],
      },
      {
        operation: 'mergePositions',
        title,
        inputs: [six, four],
        attributes: { ranges, length: 10 },
        half: [0, 1],
      },
      {
        operation: 'mergePositions',
        title: `gaps ${title}`,
        inputs: [two, two],
        attributes: { ranges: gaps, length: 10 },
        half: [0, 1],
      },
    ];
  });
}

/** Rows that are new, filling, and turning; pieces of one entry, within the ring, and longer than it. */
function slides(): OperationCase[] {
  return [1, 4, 12].flatMap((length) =>
    [0, 2].flatMap((sinks): OperationCase[] => {
      const [rows, capacity] = [3, 7];
      const used = integers([rows], [0, 3, 25]);
      const cache = floats([rows, capacity, 2, 9], { seed: 21 });
      const fresh = floats([rows, length, 2, 9], { seed: 22 });
      const numbers = [randomIntegers([rows, capacity], 0, 9), randomIntegers([rows, length], 0, 9, 2)];
      const dOrdered = floats([rows, capacity + length, 2, 9], { seed: 23 });
      const dCache = floats([rows, capacity, 2, 9], { seed: 24 });
      const title = `${length} entries, ${sinks} sinks`;
      const operation = 'slideBackward';
      const attributes = { capacity, length, sinks };
      return [
        { operation: 'slide', title, inputs: [cache, fresh, used], attributes: { sinks } },
        {
          operation: 'slide',
          title: `integers, ${title}`,
          inputs: [...numbers, used],
          attributes: { sinks },
        },
        { operation, title, inputs: [dOrdered, dCache, used], attributes },
        { operation, title: `${title}, in order`, inputs: [dOrdered, undefined, used], attributes },
        { operation, title: `${title}, cache`, inputs: [undefined, dCache, used], attributes },
      ];
    }),
  );
}

function caches(): OperationCase[] {
  const used = integers([2], [3, 0]);
  const cache = floats([2, 8, 2, 3], { seed: 18 });
  const fresh = floats([2, 5, 2, 3], { seed: 19 });
  const documents = randomIntegers([2, 8], 0, 9);
  return [
    { operation: 'append', title: 'a piece', inputs: [cache, fresh, used], attributes: {} },
    {
      operation: 'append',
      title: 'integers',
      inputs: [documents, integers([2, 1], [7, 8]), used],
      attributes: {},
    },
    { operation: 'appendBackward', title: 'a piece', inputs: [cache, used], attributes: { length: 5 } },
    { operation: 'advance', title: 'by 5', inputs: [used], attributes: { by: 5 } },
    { operation: 'advance', title: 'by 5, at most 6', inputs: [used], attributes: { by: 5, most: 6 } },
    ...slides(),
  ];
}
