import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { modalConvolution } from './modalConvolution.ts';
import type { SequenceOperation } from './sequenceLaws.ts';
import { buildCase, caseValues, holdCheckpointLaws, holdSequenceLaws, runCase } from './sequenceLaws.ts';
import { relativeError } from './sequenceTesting.ts';

function operation(channels: number, modes: number, chunk = 4): SequenceOperation {
  return {
    perPosition: { u: [channels] },
    shared: { residues: [channels, modes], logPoles: [channels, modes] },
    state: [channels, modes],
    values: { logPoles: (value) => -0.05 - Math.abs(value) },
    reachesState: (name) => name !== 'residues',
    build({ u, residues, logPoles, documents, state, document }) {
      const results = modalConvolution({ u, residues, logPoles, documents, state, document }, { chunk });
      return { ...results, output: results.z };
    },
  };
}

type Given = Readonly<Record<string, ArrayLike<number>>>;

interface Sizes {
  channels: number;
  modes: number;
  length: number;
}

/** Tap τ of the filter of a channel: Σ_n R_n λ_n^τ. */
function tap(given: Given, modes: number, channel: number, lag: number): number {
  let sum = 0;
  for (let i = channel * modes; i < (channel + 1) * modes; i++) {
    sum += given.residues[i] * Math.exp(lag * given.logPoles[i]);
  }
  return sum;
}

/** One row from a zero state, tap by tap. */
function byTaps(given: Given, { channels, modes, length }: Sizes): number[] {
  return Array.from({ length: length * channels }, (_, at) => {
    const [t, channel] = [Math.floor(at / channels), at % channels];
    let sum = 0;
    for (let s = 0; s <= t; s++) sum += tap(given, modes, channel, t - s) * given.u[s * channels + channel];
    return sum;
  });
}

/** One row as a kernel does it: a Toeplitz product within a chunk, the entering state's share, and the state moved on. */
function byChunks(given: Given, { channels, modes, length }: Sizes, chunk: number): number[] {
  const z = new Array<number>(length * channels).fill(0);
  for (let channel = 0; channel < channels; channel++) {
    const own = Array.from({ length: modes }, (_, n) => channel * modes + n);
    let state = own.map((i) => given.state[i]);
    const u = (t: number): number => given.u[t * channels + channel];
    const power = (i: number, exponent: number): number => Math.exp(exponent * given.logPoles[i]);
    for (let start = 0; start < length; start += chunk) {
      const count = Math.min(chunk, length - start);
      for (let i = 0; i < count; i++) {
        let sum = 0;
        for (let j = 0; j <= i; j++) sum += tap(given, modes, channel, i - j) * u(start + j);
        own.forEach((at, n) => {
          sum += given.residues[at] * power(at, i + 1) * state[n];
        });
        z[(start + i) * channels + channel] = sum;
      }
      state = own.map((at, n) => {
        let next = power(at, count) * state[n];
        for (let j = 0; j < count; j++) next += power(at, count - 1 - j) * u(start + j);
        return next;
      });
    }
  }
  return z;
}

describe('modalConvolution', () => {
  holdSequenceLaws(operation(2, 3), [1, 4, 5, 9]);
  holdCheckpointLaws(operation(2, 3));

  it('is the convolution with its modes, lag 0 included', () => {
    const sizes = { channels: 3, modes: 4, length: 11 };
    const options = { batch: 1, length: 11, documents: false, state: false };
    const given = caseValues(operation(3, 4), options);
    const { output } = runCase(operation(3, 4), options, given);
    expect(relativeError(output, byTaps(given, sizes))).toBeLessThan(1e-14);
  });

  it('equals Toeplitz products by chunks and a carried state', () => {
    const sizes = { channels: 2, modes: 5, length: 11 };
    const options = { batch: 1, length: 11, documents: false };
    const given = caseValues(operation(2, 5), options);
    const { output } = runCase(operation(2, 5), options, given);
    for (const chunk of [1, 2, 5, 10, 11, 12]) {
      expect(relativeError(byChunks(given, sizes, chunk), output)).toBeLessThan(1e-14);
    }
  });

  it('counts 4 N + 2 model operations per number, and executes those of the recurrence', () => {
    const node = buildCase(operation(2, 3), {}).output.producer?.node;
    const cost = node?.operation.cost(node.inputs, node.outputs, node.attributes);
    expect(cost?.model).toBe(2 * 9 * 2 * (4 * 3 + 2));
    expect(cost?.executed).toBe(2 * 9 * 2 * 4 * 3);
  });

  it('refuses operands that do not fit', () => {
    const graph = new Graph();
    const u = graph.source('input', 'u', [1, 5, 3]);
    const residues = graph.source('parameter', 'residues', [3, 4]);
    const other = graph.source('parameter', 'other', [3, 5]);
    const apply = (inputs: object, chunk = 4) => {
      return () => modalConvolution({ u, residues, logPoles: residues, ...inputs }, { chunk });
    };
    expect(apply({})().checkpoints.shape).toEqual([1, 2, 3, 4]);
    expect(apply({ logPoles: other })).toThrow(`'logPoles' must be float32 [3, 4], not float32[3, 5].`);
    expect(apply({}, 1.5)).toThrow('chunk is 1.5; it must be an integer above 0');
    const documents = graph.source('input', 'documents', [1, 5], 'int32');
    const state = graph.source('state', 'state', [1, 3, 4]);
    expect(apply({ documents, state })).toThrow(`without 'document'`);
  });
});
