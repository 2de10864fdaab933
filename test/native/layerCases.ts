/** Cases of matrix product, norm, rope, embedding, loss and optimizer. */
import type { Attributes } from '../../src/graph/index.ts';
import { floats, integers, randomIntegers } from '../../src/ops/testing.ts';
import type { Given, OperationCase } from './compare.ts';
import { evaluatePlain } from './compare.ts';

export function layerCases(): OperationCase[] {
  return [...products(), ...norms(), ...rope(), ...embedding(), ...losses(), ...optimizer()];
}

function one(value: number): Given {
  return { shape: [1], dtype: 'float32', values: [value] };
}

function products(): OperationCase[] {
  const sizes = [
    [1, 1, 1],
    [3, 5, 7],
    [2, 64, 96],
    [33, 70, 65],
  ];
  const flags = [
    [false, false],
    [false, true],
    [true, false],
  ];
  return sizes.flatMap(([m, n, k]) =>
    flags.flatMap(([transposeA, transposeB]): OperationCase[] => {
      const a = floats(transposeA ? [k, m] : [m, k], { seed: 21 });
      const b = floats(transposeB ? [n, k] : [k, n], { seed: 22 });
      const attributes = { transposeA, transposeB, dtype: 'float32' };
      const title = `${m} × ${n} × ${k}${transposeA ? ', aᵀ' : ''}${transposeB ? ', bᵀ' : ''}`;
      const extra = [floats([n], { seed: 23 }), floats([m, n], { seed: 24 })];
      return [
        { operation: 'matmul', title, inputs: [a, b, undefined, undefined], attributes, half: [0, 1] },
        {
          operation: 'matmul',
          title: `${title} + bias + addend`,
          inputs: [a, b, ...extra],
          attributes,
          half: [0, 1],
        },
      ];
    }),
  );
}

function norms(): OperationCase[] {
  return [
    [1, 1],
    [3, 24],
    [2, 5, 33],
    [70, 768],
  ].flatMap((shape) => {
    const x = floats(shape, { seed: 25 });
    const dy = floats(shape, { seed: 26 });
    return [floats(shape.slice(-1), { seed: 27 }), undefined].flatMap((weight): OperationCase[] => {
      const title = `${shape}${weight ? '' : ' without weight'}`;
      const attributes = { epsilon: 1e-3 };
      return [
        {
          operation: 'rmsNorm',
          title,
          inputs: [x, weight],
          attributes: { ...attributes, dtype: 'float32' },
          half: [0],
        },
        { operation: 'rmsNormBackward', title, inputs: [x, weight, dy], attributes, half: [0] },
        {
          operation: 'rmsNormBackward',
          title: `${title} + addend`,
          inputs: [x, weight, dy, floats(shape, { seed: 29 })],
          attributes,
          half: [0, 2],
        },
      ].map((test) => (weight ? test : withoutWeightGradient(test)));
    });
  });
}

/** Without a weight its gradient means nothing; only dx is compared. */
function withoutWeightGradient(test: OperationCase): OperationCase {
  return test.operation === 'rmsNormBackward' ? { ...test, outputs: [0, 2] } : test;
}

function rope(): OperationCase[] {
  const positions = integers([2, 5], [0, 1, 2, 3, 4, 9_000, 9_001, 9_002, 9_003, 100_000]);
  const documents = integers([2, 5], [0, 0, 2, 2, 2, 0, 0, 9_002, 9_002, 9_002]);
  return [2, 24, 64, 80].flatMap((width) =>
    [false, true].flatMap((inverse): OperationCase[] => {
      const x = floats([2, 5, 3, width], { seed: 28 });
      const attributes = { theta: 10_000, inverse, dtype: 'float32' };
      const title = `width ${width}${inverse ? ', inverse' : ''}`;
      return [
        { operation: 'rope', title, inputs: [x, positions, undefined], attributes, half: [0] },
        {
          operation: 'rope',
          title: `${title}, documents`,
          inputs: [x, positions, documents],
          attributes,
          half: [0],
        },
        {
          operation: 'rope',
          title: `${title}, some features turned, scaled`,
          inputs: [x, positions, undefined],
          attributes: { ...attributes, dimensions: 2 * Math.ceil(width / 6), factor: 4 },
          half: [0],
        },
        {
          operation: 'rope',
          title: `${title}, scaled by wavelength`,
          inputs: [x, positions, documents],
          attributes: { ...attributes, factor: 8, lowFactor: 1, highFactor: 4, originalLength: 4096 },
          half: [0],
        },
      ];
    }),
  );
}

function embedding(): OperationCase[] {
  return [
    [5, 3],
    [40, 64],
    [300, 130],
  ].flatMap(([vocabulary, width]): OperationCase[] => {
    const table = floats([vocabulary, width], { seed: 29 });
    const ids = randomIntegers([2, 9], 0, vocabulary, 30);
    const dy = floats([2, 9, width], { seed: 31 });
    return [
      { operation: 'embedding', title: `${vocabulary} × ${width}`, inputs: [table, ids], attributes: {} },
      {
        operation: 'embeddingBackward',
        title: `${vocabulary} × ${width}`,
        inputs: [ids, dy],
        attributes: { vocabulary },
      },
    ];
  });
}

function losses(): OperationCase[] {
  const sizes = [
    [1, 4, 3, 1],
    [6, 24, 33, 4],
    [7, 32, 500, 7],
    [5, 17, 64, 100],
  ];
  return sizes.flatMap(([tokens, width, vocabulary, chunk], size): OperationCase[] => {
    const x = floats([tokens, width], { seed: 32 });
    const w = floats([vocabulary, width], { seed: 33 });
    const ids = Array.from(randomIntegers([tokens], 0, vocabulary, 34).values);
    if (tokens > 2) ids[2] = -1;
    const given = [x, w, integers([tokens], ids), floats([tokens], { seed: 35, low: 0 })];
    // Every second one with logits bent by a cap of about their size.
    const attributes: Attributes = size % 2 === 0 ? { chunk } : { chunk, cap: 1.5 };
    const logsumexp = evaluatePlain('linearCrossEntropy', given, attributes)[2];
    const title = `${tokens} tokens by ${chunk}, width ${width}, vocabulary ${vocabulary}${size % 2 === 0 ? '' : ', capped'}`;
    const half = [0, 1];
    return [
      { operation: 'linearCrossEntropy', title, inputs: given, attributes, half },
      { operation: 'linearCrossEntropyWithGradient', title, inputs: given, attributes, half },
      {
        operation: 'linearCrossEntropyBackward',
        title,
        inputs: [...given, logsumexp, one(0.6)],
        attributes,
        half,
      },
    ];
  });
}

function optimizer(): OperationCase[] {
  const attributes = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1 };
  const adamw = [[1], [3, 7], [2, 4099]].flatMap((shape) =>
    [1, 0.3, -1].map((scale): OperationCase => {
      const moments = [floats(shape, { seed: 38 }), floats(shape, { seed: 39, low: 0 })];
      const scalars = [one(scale), one(0.01), one(3)];
      return {
        operation: 'adamw',
        title: `${shape}, scale ${scale}`,
        inputs: [floats(shape, { seed: 36 }), floats(shape, { seed: 37 }), ...moments, ...scalars],
        attributes,
      };
    }),
  );
  const norms: OperationCase[] = [[[1]], [[3, 7], [9000], [1]], [[600, 1000], [100], [262_144]]].map(
    (shapes) => ({
      operation: 'gradientNorm',
      title: `${shapes.length} tensors`,
      inputs: shapes.map((shape, seed) => floats(shape, { seed })),
      attributes: {},
    }),
  );
  const clips: OperationCase[] = [
    [5, 2, 1],
    [0.5, 2, 1],
    [5, 2, 0],
    [Number.NaN, 2, 1],
    [5, Infinity, 1],
  ].map((values) => ({
    operation: 'clipScale',
    title: `${values}`,
    inputs: values.map(one),
    attributes: {},
  }));
  const accumulations: OperationCase[] = [0, 1].flatMap((keep) =>
    [[5], [2, 4099]].map((shape) => ({
      operation: 'accumulate',
      title: `${shape}, keep ${keep}`,
      inputs: [floats(shape, { seed: 40 }), floats(shape, { seed: 41 }), one(keep)],
      attributes: {},
    })),
  );
  return [...adamw, ...norms, ...clips, ...accumulations];
}
