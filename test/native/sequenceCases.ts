/** Cases of attention, causal convolution and selective scan: documents, states, caches, grouped heads, odd sizes. */
import { floats, integers } from '../../src/ops/testing.ts';
import type { Given, OperationCase } from './compare.ts';
import { evaluatePlain } from './compare.ts';
import { documentsOf, historiesFor } from './histories.ts';

export function sequenceCases(): OperationCase[] {
  return [...attention(), ...dominatedAttention(), ...convolution(), ...scan()];
}

interface AttentionSizes {
  readonly length: number;
  readonly keys?: number;
  readonly heads: number;
  readonly groups: number;
  readonly e: number;
  readonly f?: number;
  readonly documents?: readonly [queries: Given, keys: Given];
  readonly used?: readonly number[];
  readonly window?: number;
  readonly sinks?: number;
}

function attention(): OperationCase[] {
  const sizes: AttentionSizes[] = [
    { length: 1, heads: 1, groups: 1, e: 16 },
    { length: 3, heads: 4, groups: 2, e: 24 },
    { length: 50, heads: 4, groups: 1, e: 24 },
    { length: 130, heads: 2, groups: 2, e: 16, f: 20 },
    { length: 70, heads: 1, groups: 1, e: 128 },
    { length: 33, heads: 5, groups: 1, e: 7, f: 65 },
    { length: 1, keys: 100, heads: 8, groups: 2, e: 24, used: [99, 40] },
    { length: 9, keys: 64, heads: 3, groups: 3, e: 32, used: [0, 55] },
    {
      length: 20,
      heads: 2,
      groups: 1,
      e: 8,
      documents: [documentsOf([[20], Array(20).fill(1)]), documentsOf([[20], Array(20).fill(1)])],
    },
    {
      length: 120,
      heads: 4,
      groups: 2,
      e: 24,
      documents: [
        documentsOf([
          [60, 1, 59],
          [3, 100, 17],
        ]),
        documentsOf([
          [60, 1, 59],
          [3, 100, 17],
        ]),
      ],
    },
    { length: 300, heads: 2, groups: 1, e: 24 },
    { length: 290, heads: 2, groups: 2, e: 64, window: 140, sinks: 40 },
    { length: 150, heads: 4, groups: 2, e: 16, window: 20 },
    { length: 200, heads: 2, groups: 1, e: 8, window: 33, sinks: 5 },
    { length: 70, heads: 2, groups: 2, e: 16, window: 64, sinks: 60 },
    { length: 3, keys: 160, heads: 2, groups: 1, e: 8, used: [140, 0], window: 17, sinks: 50 },
    {
      length: 120,
      heads: 2,
      groups: 2,
      e: 8,
      window: 30,
      sinks: 7,
      documents: [
        documentsOf([
          [60, 1, 59],
          [3, 100, 17],
        ]),
        documentsOf([
          [60, 1, 59],
          [3, 100, 17],
        ]),
      ],
    },
    {
      length: 4,
      keys: 12,
      heads: 2,
      groups: 1,
      e: 16,
      used: [5, 8],
      documents: [
        integers([2, 4], [2, 2, 7, 7, 0, 0, 0, 11]),
        integers([2, 12], [0, 0, 2, 2, 2, 2, 2, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]),
      ],
    },
  ];
  return sizes.flatMap(
    ({ length, keys = length, heads, groups, e, f = e, documents = [], used, ...sight }): OperationCase[] => {
      const q = floats([2, length, heads, e], { seed: 51, low: -2, high: 2 });
      const k = floats([2, keys, groups, e], { seed: 52, low: -2, high: 2 });
      const v = floats([2, keys, groups, f], { seed: 53 });
      const rest = [documents[0], documents[1], used && integers([2], used)];
      const attributes = { scale: 1 / Math.sqrt(e), dtype: 'float32', ...sight };
      const [out, logsumexp] = evaluatePlain('attention', [q, k, v, ...rest], attributes);
      const dOut = floats([2, length, heads, f], { seed: 54 });
      const title = `${length} of ${keys}, heads ${heads}/${groups}, sizes ${e}/${f}${documents[0] ? ', documents' : ''}${used ? ', used' : ''}${sight.window ? `, window ${sight.window} + ${sight.sinks ?? 0}` : ''}`;
      return [
        { operation: 'attention', title, inputs: [q, k, v, ...rest], attributes, half: [0, 1, 2] },
        {
          operation: 'attentionBackward',
          title,
          inputs: [q, k, v, ...rest, out, logsumexp, dOut],
          attributes,
          half: [0, 1, 2, 8],
        },
      ];
    },
  );
}

/** Keys that outweigh all before them by more than any fixed base of the weights can bear, met in later blocks. */
function dominatedAttention(): OperationCase[] {
  return [24, 64].map((e): OperationCase => {
    const length = 330;
    const q = floats([1, length, 2, e], { seed: 55, low: 1, high: 2 });
    const k = floats([1, length, 1, e], { seed: 56, low: -0.1, high: 0.1 });
    const v = floats([1, length, 1, e], { seed: 57 });
    const values = Float64Array.from(k.values);
    for (let i = 0; i < 2 * e; i++) values[i] = -30;
    for (const [key, size] of [
      [5, 4],
      [150, 12],
      [290, 30],
    ]) {
      values.fill(size, key * e, (key + 1) * e);
    }
    return {
      operation: 'attention',
      title: `sizes ${e}, a few keys outweigh the others`,
      inputs: [q, { ...k, values }, v, undefined, undefined, undefined],
      attributes: { scale: 1 / Math.sqrt(e), dtype: 'float32' },
      half: [0, 1, 2],
    };
  });
}

function convolution(): OperationCase[] {
  const sizes = [
    [1, 3, 4],
    [2, 16, 4],
    [3, 17, 2],
    [40, 33, 4],
    [7, 5, 16],
    [100, 70, 3],
  ];
  return sizes.flatMap(([length, channels, taps], size) =>
    historiesFor(size, length).flatMap(({ title, documents, state, document }, index): OperationCase[] => {
      const x = floats([2, length, channels], { seed: 61 });
      const weight = floats([channels, taps], { seed: 62 });
      const bias = index % 2 === 0 ? floats([channels], { seed: 63 }) : undefined;
      const window = state ? floats([2, taps - 1, channels], { seed: 64 }) : undefined;
      const inputs = [x, weight, bias, documents, window, document];
      const attributes = { activation: index % 3 === 1 ? 'none' : 'silu', dtype: 'float32' };
      const dy = floats(x.shape, { seed: 65 });
      const dNext = floats([2, taps - 1, channels], { seed: 66 });
      const name = `${length} × ${channels}, ${taps} taps, ${title}`;
      return [
        { operation: 'causalConvolution', title: name, inputs, attributes, half: [0] },
        {
          operation: 'causalConvolutionBackward',
          title: name,
          inputs: [...inputs, dy, dNext],
          attributes,
          half: [0, 6],
        },
        {
          operation: 'causalConvolutionBackward',
          title: `${name}, dy`,
          inputs: [...inputs, dy, undefined],
          attributes,
        },
        {
          operation: 'causalConvolutionBackward',
          title: `${name}, dWindow`,
          inputs: [...inputs, undefined, dNext],
          attributes,
        },
      ];
    }),
  );
}

function scan(): OperationCase[] {
  const sizes = [
    [1, 3, 16, 4],
    [2, 16, 1, 1],
    [9, 17, 5, 4],
    [33, 40, 16, 16],
    [20, 20, 64, 64],
    [70, 16, 8, 32],
  ];
  return sizes.flatMap(([length, channels, states, chunk], size) =>
    historiesFor(size, length).flatMap(({ title, documents, state, document }): OperationCase[] => {
      const tokens = [2, length];
      const x = floats([...tokens, channels], { seed: 71 });
      const dt = floats([...tokens, channels], { seed: 72, low: -3, high: 2 });
      const aLog = floats([channels, states], { seed: 73, low: -1, high: 2 });
      const b = floats([...tokens, states], { seed: 74 });
      const c = floats([...tokens, states], { seed: 75 });
      const d = floats([channels], { seed: 76 });
      const dtBias = floats([channels], { seed: 77, low: -2, high: 0 });
      const entering = state ? floats([2, channels, states], { seed: 78 }) : undefined;
      const inputs = [x, dt, aLog, b, c, d, dtBias, documents, entering, document];
      const attributes = { chunk, dtype: 'float32' };
      const checkpoints = evaluatePlain('selectiveScan', inputs, attributes)[1];
      const dy = floats(x.shape, { seed: 79 });
      const dNext = floats([2, channels, states], { seed: 80 });
      const name = `${length} × ${channels} × ${states} by ${chunk}, ${title}`;
      const backward = [...inputs, checkpoints];
      return [
        { operation: 'selectiveScan', title: name, inputs, attributes, half: [0, 1, 3, 4] },
        {
          operation: 'selectiveScanBackward',
          title: name,
          inputs: [...backward, dy, dNext],
          attributes,
          half: [0, 1, 3, 4, 11],
        },
        {
          operation: 'selectiveScanBackward',
          title: `${name}, dy`,
          inputs: [...backward, dy, undefined],
          attributes,
        },
        {
          operation: 'selectiveScanBackward',
          title: `${name}, dState`,
          inputs: [...backward, undefined, dNext],
          attributes,
        },
      ];
    }),
  );
}
