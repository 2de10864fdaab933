/** Cases of the softmax of routers, of the way of tokens to experts and back, and of products with many small weights. */
import { floats, givenFloats, integers, randomIntegers } from '../../src/ops/testing.ts';
import type { Given, OperationCase } from './compare.ts';
import { evaluatePlain } from './compare.ts';

export function expertsCases(): OperationCase[] {
  return [...softmaxes(), ...choices(), ...ways(), ...products(), ...blocks(), ...balances()];
}

/** Tokens, experts, choices of each token, width, columns of a weight. */
const sizes = [
  [1, 1, 1, 1, 1],
  [5, 4, 2, 17, 3],
  [40, 8, 2, 24, 33],
  [33, 20, 6, 64, 16],
  [300, 70, 1, 40, 20],
] as const;

function softmaxes(): OperationCase[] {
  return [[1], [3, 1], [2, 5, 8], [7, 33], [700, 64]].flatMap((shape): OperationCase[] => {
    const x = floats(shape, { seed: 81, low: -30, high: 30 });
    const [y] = evaluatePlain('softmax', [x], {});
    const dy = floats(shape, { seed: 82 });
    return [
      { operation: 'softmax', title: `${shape}`, inputs: [x], attributes: {} },
      { operation: 'softmaxBackward', title: `${shape}`, inputs: [y, dy], attributes: {} },
    ];
  });
}

function chosen(scores: Given, bias: Given | undefined, k: number): Given {
  return evaluatePlain('topK', [scores, bias], { k })[0];
}

function choices(): OperationCase[] {
  const ties = givenFloats([2, 3], [0.5, 0.5, 0.5, Number.NaN, 1, 2]);
  const odd: OperationCase = {
    operation: 'topK',
    title: 'ties and no numbers',
    inputs: [ties, undefined],
    attributes: { k: 3 },
  };
  const regular = sizes.flatMap(([tokens, experts, k]): OperationCase[] => {
    const scores = floats([tokens, experts], { seed: 83, low: 0 });
    const bias = floats([experts], { seed: 84 });
    const index = chosen(scores, bias, k);
    const title = `${k} of ${experts} for ${tokens}`;
    const dy = floats([tokens, k], { seed: 85 });
    return [
      { operation: 'topK', title, inputs: [scores, undefined], attributes: { k } },
      { operation: 'topK', title: `${title}, bias`, inputs: [scores, bias], attributes: { k } },
      { operation: 'gatherColumns', title, inputs: [scores, index], attributes: {} },
      { operation: 'gatherColumnsBackward', title, inputs: [dy, index], attributes: { columns: experts } },
      { operation: 'groupTokens', title, inputs: [index], attributes: { experts } },
    ];
  });
  return [odd, ...regular];
}

function balances(): OperationCase[] {
  return [[3], [4, 4], [9, 0, 0, 3, 3]].map((load) => ({
    operation: 'balanceBias',
    title: `${load}`,
    inputs: [floats([load.length], { seed: 86 }), givenFloats([load.length], load)],
    attributes: { rate: 0.01 },
  }));
}

function ways(): OperationCase[] {
  return sizes.flatMap(([tokens, experts, k, width]): OperationCase[] => {
    const index = chosen(floats([tokens, experts], { seed: 87 }), undefined, k);
    const [order] = evaluatePlain('groupTokens', [index], { experts });
    const x = floats([tokens, width], { seed: 88 });
    const y = floats([tokens * k, width], { seed: 89 });
    const weights = floats([tokens, k], { seed: 90 });
    const title = `${tokens} tokens × ${width} to ${k} of ${experts}`;
    const attributes = { repeat: k };
    const stored = { ...attributes, dtype: 'float32' };
    return [
      { operation: 'gatherRows', title, inputs: [x, order], attributes: stored, half: [0] },
      { operation: 'scatterRows', title, inputs: [y, order, undefined], attributes, half: [0] },
      {
        operation: 'scatterRows',
        title: `${title}, weighted`,
        inputs: [y, order, weights],
        attributes,
        half: [0],
      },
      {
        operation: 'scatterRowsBackward',
        title,
        inputs: [y, order, weights, x],
        attributes: stored,
        half: [0, 3],
      },
    ];
  });
}

/** Products with block-diagonal matrices. */
function blocks(): OperationCase[] {
  return sizes.flatMap(([tokens, count, , k, n]): OperationCase[] => {
    const x = floats([tokens, count * k], { seed: 95 });
    const w = floats([count, k, n], { seed: 96 });
    const bias = floats([count, n], { seed: 97 });
    const dy = floats([tokens, count * n], { seed: 98 });
    const title = `${tokens} tokens, ${count} blocks of ${k} × ${n}`;
    const stored = { attributes: { dtype: 'float32' }, half: [0, 1] };
    const operation = 'blockMatmulBackward';
    return [
      { ...stored, operation: 'blockMatmul', title, inputs: [x, w, bias] },
      { ...stored, operation: 'blockMatmul', title: `${title}, no bias`, inputs: [x, w, undefined] },
      { operation, title, inputs: [x, w, dy], attributes: {}, half: [0, 1, 2] },
    ];
  });
}

function products(): OperationCase[] {
  return sizes.flatMap(([tokens, experts, k, width, columns]): OperationCase[] => {
    const rows = tokens * k;
    // Every third expert gets no row.
    const picks = randomIntegers([rows], 0, experts, 91).values;
    const counts = Array.from({ length: experts }, () => 0);
    for (const pick of Array.from(picks)) counts[experts > 2 && pick % 3 === 1 ? pick - 1 : pick]++;
    const ends = counts.map((_, e) => counts.slice(0, e + 1).reduce((a, b) => a + b, 0));
    const offsets = integers([experts + 1], [0, ...ends]);
    const x = floats([rows, width], { seed: 92 });
    const w = floats([experts, columns, width], { seed: 93 });
    const dy = floats([rows, columns], { seed: 94 });
    const title = `${rows} rows of ${experts} experts, ${width} to ${columns}`;
    return [
      {
        operation: 'groupedMatmul',
        title,
        inputs: [x, w, offsets],
        attributes: { dtype: 'float32' },
        half: [0, 1],
      },
      {
        operation: 'groupedMatmulBackward',
        title,
        inputs: [x, w, offsets, dy],
        attributes: {},
        half: [0, 1, 3],
      },
    ];
  });
}
