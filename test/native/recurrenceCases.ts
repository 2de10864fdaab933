/** Cases of the scan of Mamba-2, the filters of Hyena and the linear recurrence: documents, states, odd sizes. */
import { floats, integers } from '../../src/ops/testing.ts';
import type { OperationCase } from './compare.ts';
import { evaluatePlain } from './compare.ts';
import { historiesFor } from './histories.ts';

export function recurrenceCases(): OperationCase[] {
  return [...linear(), ...decays(), ...modal(), ...scan(), ...filters()];
}

function linear(): OperationCase[] {
  const sizes = [
    [1, 3],
    [2, 16],
    [9, 17],
    [33, 70],
    [40, 130],
    [5, 64],
  ];
  return sizes.flatMap(([length, channels], size) =>
    historiesFor(size, length).flatMap(({ title, documents, state, document }): OperationCase[] => {
      const tokens = [2, length, channels];
      const a = floats(tokens, { seed: 101, low: 0 });
      const entering = state ? floats([2, channels], { seed: 102 }) : undefined;
      const rest = [documents, entering, document];
      const h = floats(tokens, { seed: 103 });
      const dh = floats(tokens, { seed: 104 });
      const dNext = floats([2, channels], { seed: 105 });
      const name = `${length} × ${channels}, ${title}`;
      const attributes = {};
      const operation = 'linearRecurrenceBackward';
      return [
        {
          operation: 'linearRecurrence',
          title: name,
          inputs: [a, h, ...rest],
          attributes: { dtype: 'float32' },
          half: [0, 1],
        },
        { operation, title: name, inputs: [a, h, ...rest, dh, dNext], attributes, half: [0, 1, 5] },
        { operation, title: `${name}, dh`, inputs: [a, h, ...rest, dh, undefined], attributes },
        { operation, title: `${name}, dState`, inputs: [a, h, ...rest, undefined, dNext], attributes },
      ];
    }),
  );
}

function decays(): OperationCase[] {
  const sizes = [
    [1, 3],
    [2, 16],
    [9, 17],
    [33, 70],
    [5, 64],
  ];
  return sizes.flatMap(([length, channels], size) =>
    historiesFor(size, length).flatMap(({ title, documents, state, document }): OperationCase[] => {
      const tokens = [2, length, channels];
      const [r, i, x] = [151, 152, 153].map((seed) => floats(tokens, { seed, low: -4, high: 4 }));
      // From a memory of a token to one of half a million, where a² rounds to 1.
      const lambda = floats([channels], { seed: 154, low: -15, high: 1 });
      const used = state ? integers([2], [0, 7]) : undefined;
      const inputs = [r, i, x, lambda, documents, document, used];
      const [da, dy] = [155, 156].map((seed) => floats(tokens, { seed }));
      const name = `${length} × ${channels}, ${title}`;
      const operation = 'gatedDecayBackward';
      // Slopes of the root reach 2000 and are summed over tokens for Λ.
      const settings = { attributes: {}, half: [1, 2], tolerance: 2e-5 };
      return [
        { operation: 'gatedDecay', title: name, inputs, attributes: {}, half: [1, 2] },
        { ...settings, operation, title: name, inputs: [...inputs, da, dy] },
        { ...settings, operation, title: `${name}, da`, inputs: [...inputs, da, undefined] },
        { ...settings, operation, title: `${name}, dy`, inputs: [...inputs, undefined, dy] },
      ];
    }),
  );
}

/** A backward call with the gradients of output and state, with either alone. */
function backwardCases(
  operation: string,
  title: string,
  operands: OperationCase['inputs'],
  [dOut, dNext]: OperationCase['inputs'],
  settings: Pick<OperationCase, 'attributes' | 'half' | 'tolerance'>,
): OperationCase[] {
  return [
    { ...settings, operation, title, inputs: [...operands, dOut, dNext] },
    { ...settings, operation, title: `${title}, output alone`, inputs: [...operands, dOut, undefined] },
    { ...settings, operation, title: `${title}, state alone`, inputs: [...operands, undefined, dNext] },
  ];
}

function modal(): OperationCase[] {
  const sizes = [
    [1, 3, 2, 4],
    [2, 16, 16, 1],
    [9, 17, 5, 4],
    [33, 40, 16, 16],
    [20, 20, 70, 64],
    [70, 16, 16, 32],
  ];
  return sizes.flatMap(([length, channels, modes, chunk], size) =>
    historiesFor(size, length).flatMap(({ title, documents, state, document }): OperationCase[] => {
      const u = floats([2, length, channels], { seed: 111 });
      const residues = floats([channels, modes], { seed: 112 });
      const logPoles = floats([channels, modes], { seed: 113, low: -2, high: 0 });
      const entering = state ? floats([2, channels, modes], { seed: 114 }) : undefined;
      const inputs = [u, residues, logPoles, documents, entering, document];
      const attributes = { chunk, dtype: 'float32' };
      const checkpoints = evaluatePlain('modalConvolution', inputs, attributes)[1];
      const gradients = [floats(u.shape, { seed: 115 }), floats([2, channels, modes], { seed: 116 })];
      const name = `${length} × ${channels}, ${modes} modes by ${chunk}, ${title}`;
      return [
        { operation: 'modalConvolution', title: name, inputs, attributes, half: [0] },
        ...backwardCases('modalConvolutionBackward', name, [...inputs, checkpoints], gradients, {
          attributes,
          half: [0, 7],
        }),
      ];
    }),
  );
}

function scan(): OperationCase[] {
  const sizes = [
    { length: 1, heads: 2, width: 3, groups: 1, states: 4, chunk: 4 },
    { length: 2, heads: 4, width: 16, groups: 2, states: 1, chunk: 1 },
    { length: 9, heads: 3, width: 5, groups: 3, states: 17, chunk: 4 },
    { length: 33, heads: 4, width: 24, groups: 2, states: 20, chunk: 16 },
    { length: 70, heads: 5, width: 16, groups: 1, states: 16, chunk: 64 },
    { length: 100, heads: 2, width: 33, groups: 1, states: 32, chunk: 40 },
    { length: 83, heads: 6, width: 40, groups: 1, states: 48, chunk: 32 },
    { length: 75, heads: 2, width: 64, groups: 2, states: 16, chunk: 70 },
  ];
  return sizes.flatMap(({ length, heads, width, groups, states, chunk }, size) =>
    historiesFor(size, length).flatMap(({ title, documents, state, document }, index): OperationCase[] => {
      const tokens = [2, length];
      const x = floats([...tokens, heads, width], { seed: 121 });
      const dt = floats([...tokens, heads], { seed: 122, low: -3, high: 2 });
      const aLog = floats([heads], { seed: 123, low: -1, high: 2 });
      const b = floats([...tokens, groups, states], { seed: 124 });
      const c = floats([...tokens, groups, states], { seed: 125 });
      const d = floats([heads], { seed: 126 });
      const dtBias = floats([heads], { seed: 127, low: -2, high: 0 });
      const entering = state ? floats([2, heads, width, states], { seed: 128 }) : undefined;
      const inputs = [x, dt, aLog, b, c, d, dtBias, documents, entering, document];
      const bounds = index % 2 === 1 ? { dtLow: 0.1, dtHigh: 0.7 } : {};
      const attributes = { chunk, dtype: 'float32', ...bounds };
      const checkpoints = evaluatePlain('ssd', inputs, attributes)[1];
      const gradients = [floats(x.shape, { seed: 129 }), floats([2, heads, width, states], { seed: 130 })];
      const name = `${length} × ${heads} × ${width}, ${groups} groups of ${states} by ${chunk}, ${title}`;
      return [
        { operation: 'ssd', title: name, inputs, attributes, half: [0, 1, 3, 4] },
        ...backwardCases('ssdBackward', name, [...inputs, checkpoints], gradients, {
          attributes,
          half: [0, 1, 3, 4, 11],
        }),
      ];
    }),
  );
}

function filters(): OperationCase[] {
  const sizes = [
    { length: 1, channels: 6, groups: 2, taps: 4 },
    { length: 2, channels: 16, groups: 16, taps: 2 },
    { length: 9, channels: 20, groups: 5, taps: 7 },
    { length: 60, channels: 96, groups: 3, taps: 20 },
    { length: 40, channels: 70, groups: 1, taps: 50 },
    { length: 210, channels: 20, groups: 5, taps: 18 },
  ];
  return sizes.flatMap(({ length, channels, groups, taps: count }, size) =>
    historiesFor(size, length).flatMap(({ title, documents, state, document }): OperationCase[] => {
      const u = floats([2, length, channels], { seed: 131 });
      const taps = floats([groups, count], { seed: 132 });
      const window = state ? floats([2, count - 1, channels], { seed: 133 }) : undefined;
      const inputs = [u, taps, documents, window, document];
      const gradients = [floats(u.shape, { seed: 134 }), floats([2, count - 1, channels], { seed: 135 })];
      return ['direct', 'blocked'].flatMap((algorithm): OperationCase[] => {
        const attributes = { algorithm, block: 16, dtype: 'float32' };
        const name = `${algorithm}, ${length} × ${channels}, ${groups} filters of ${count}, ${title}`;
        return [
          { operation: 'filterConvolution', title: name, inputs, attributes, half: [0] },
          ...backwardCases('filterConvolutionBackward', name, inputs, gradients, {
            attributes,
            half: [0, 5],
          }),
        ];
      });
    }),
  );
}
