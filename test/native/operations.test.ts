import { describe, expect, it } from 'vitest';
import { registeredOperations } from '../../src/graph/index.ts';
import { floats, integers } from '../../src/ops/testing.ts';
import { createNativeExecutor, inspectNative } from '../../src/runtime/index.ts';
import type { OperationCase } from './compare.ts';
import { compareVariant, runNative, variantsOf } from './compare.ts';
import { expertsCases } from './expertsCases.ts';
import { gatedCases } from './gatedCases.ts';
import { layerCases } from './layerCases.ts';
import { quantizedCases } from './quantizedCases.ts';
import { recurrenceCases } from './recurrenceCases.ts';
import { sequenceCases } from './sequenceCases.ts';
import { tensorCases } from './tensorCases.ts';

const report = inspectNative();
const cases = [
  ...tensorCases(),
  ...layerCases(),
  ...sequenceCases(),
  ...recurrenceCases(),
  ...gatedCases(),
  ...expertsCases(),
  ...quantizedCases(),
].map((test, i) => ({
  ...test,
  variants: variantsOf(test, i % 3 === 0),
}));
const operations = registeredOperations().filter(({ alias }) => !alias);

it('has a case for every operation that runs', () => {
  const covered = new Set(cases.map(({ operation }) => operation));
  expect(operations.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([]);
});

// Every instruction set, and on the best one also teams whose shares are uneven.
const settings = [
  ...report.isas.map((isa) => ({ isa, threads: 2 })),
  ...report.isas.slice(0, 1).flatMap((isa) => [1, 3].map((threads) => ({ isa, threads }))),
];

describe.skipIf(!report.available).each(settings)('native kernels, $isa on $threads threads', (setting) => {
  const executor = createNativeExecutor({ ...setting, checkMemory: true });

  it.each(operations.map(({ name }) => name))('%s equals its plain meaning', async (operation) => {
    const wrong: string[] = [];
    for (const { title, variants } of cases.filter((one) => one.operation === operation)) {
      for (const variant of variants) {
        const messages = await compareVariant(executor, variant);
        wrong.push(...messages.map((message) => `${title}, ${variant.title}: ${message}`));
      }
    }
    expect(wrong).toEqual([]);
  });
});

it.skipIf(!report.available)('kernels give the same bits again', async () => {
  const executor = createNativeExecutor({ threads: 3 });
  for (const { operation, title, variants } of cases) {
    const first = await runNative(executor, variants[0]);
    const again = await runNative(executor, variants[0]);
    expect(again.map(bitsOf), `${operation}, ${title}`).toEqual(first.map(bitsOf));
  }
});

describe.skipIf(!report.available)('native kernels refuse', () => {
  const executor = createNativeExecutor({ threads: 2 });
  const bad: readonly [title: string, message: string, test: OperationCase][] = [
    ['an id outside the vocabulary', 'id 7', embeddingOf(7)],
    ['a negative id', 'id -1', embeddingOf(-1)],
    [
      'a target outside the vocabulary',
      'target 4 of token 1',
      {
        operation: 'linearCrossEntropy',
        title: '',
        inputs: [floats([2, 3]), floats([4, 3]), integers([2], [-1, 4]), floats([2])],
        attributes: { chunk: 1 },
      },
    ],
    [
      'a full cache',
      'row 0 of the cache',
      {
        operation: 'append',
        title: '',
        inputs: [floats([1, 2, 3]), floats([1, 1, 3]), integers([1], [2])],
        attributes: {},
      },
    ],
    [
      'a piece beyond the cache',
      'row 0 has 3 cached entries',
      {
        operation: 'attention',
        title: '',
        inputs: [
          ...[floats([1, 1, 1, 4]), floats([1, 3, 1, 4]), floats([1, 3, 1, 4])],
          ...[undefined, undefined, integers([1], [3])],
        ],
        attributes: { scale: 1, dtype: 'float32' },
      },
    ],
    ['an expert that is not there', 'expert 3 at element 1 is outside [0, 3)', groupingOf([0, 3])],
    [
      'a row of no choice',
      'Row 1 stands for choice 2',
      {
        operation: 'gatherRows',
        title: '',
        inputs: [floats([2, 3]), integers([2], [0, 2])],
        attributes: { repeat: 1, dtype: 'float32' },
      },
    ],
    [
      'offsets that fall',
      'must rise from 0 to the 2 rows: 0, 2, 1, 2',
      {
        operation: 'groupedMatmul',
        title: '',
        inputs: [floats([2, 3]), floats([3, 2, 3]), integers([4], [0, 2, 1, 2])],
        attributes: { dtype: 'float32' },
      },
    ],
  ];

  it.each(bad)('%s', async (_title, message, test) => {
    await expect(runNative(executor, variantsOf(test, false)[0])).rejects.toThrow(message);
  });
});

/** Compared as one string: element by element takes longer than the kernels. */
function bitsOf(values: Float64Array | undefined): string | undefined {
  return values && Buffer.from(values.buffer).toString('latin1');
}

function embeddingOf(id: number): OperationCase {
  return {
    operation: 'embedding',
    title: '',
    inputs: [floats([5, 2]), integers([1, 1], [id])],
    attributes: {},
  };
}

function groupingOf(experts: readonly number[]): OperationCase {
  return {
    operation: 'groupTokens',
    title: '',
    inputs: [integers([experts.length, 1], experts)],
    attributes: { experts: 3 },
  };
}
