/** For tests only: a machine and reports with round figures. */
import type { Machine } from './machine.ts';
import type { BenchReport, Measurement } from './measurement.ts';

/** 100 FLOP/s in float32, 1000 in bfloat16; 10 bytes per second read, 8 read and written. */
export const roundMachine: Machine = {
  peaks: {
    float32: {
      precision: 'float32',
      flopsPerSecond: 100,
      source: 'test',
      sizes: [{ m: 1, k: 1, n: 1, flopsPerSecond: 100 }],
    },
    bfloat16: {
      precision: 'bfloat16',
      flopsPerSecond: 1000,
      source: 'test',
      sizes: [{ m: 1, k: 1, n: 1, flopsPerSecond: 1000 }],
    },
  },
  bandwidth: { read: 10, readWrite: 8, streamBytes: 1 },
  times: 1,
};

export function measurement(given: Partial<Measurement> = {}): Measurement {
  return {
    subject: { model: 'm', length: 8 },
    precision: 'float32',
    threads: 1,
    executor: 'reference',
    seconds: [1, 2, 3],
    work: { tokens: 10, modelFlops: 100, executedFlops: 120, executedBytes: 40, neededBytes: 5 },
    ...given,
  };
}

export function report(measurements: readonly Measurement[], given: Partial<BenchReport> = {}): BenchReport {
  return {
    version: 1,
    kind: 'train',
    created: '2000-01-01T00:00:00.000Z',
    environment: {
      braid: '0',
      node: 'v0',
      system: 'test',
      cpu: 'test <cpu>',
      cores: 1,
      memoryBytes: 1,
      executor: 'reference',
      threads: 1,
      precision: 'float32',
      startedAt: '2000-01-01T00:00:00.000Z',
    },
    machine: roundMachine,
    measurements,
    ...given,
  };
}
