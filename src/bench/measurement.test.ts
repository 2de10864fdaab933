import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareReports, judge } from './difference.ts';
import { raiseCeilings } from './machine.ts';
import { describeSubject, figuresOf } from './measurement.ts';
import { shareSamples } from './rounds.ts';
import { quantile, spread } from './statistics.ts';
import { measurement, report, roundMachine } from './testing.ts';

/** Groups of so many samples, with the rates of products before and after them; the same if one is given. */
function products(...groups: [samples: number, first: number, second?: number][]) {
  return groups.map(([samples, first, second = first]) => ({
    samples,
    before: { flopsPerSecond: first },
    after: { flopsPerSecond: second },
  }));
}

describe('statistics', () => {
  it('interpolate between neighbours', () => {
    expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25 });
    expect(spread([7])).toEqual({ median: 7, low: 7, high: 7 });
    expect(quantile([], 0.5)).toBeNaN();
  });

  it('do not depend on the order, and stay within the values', () => {
    const values = fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(values, fc.double({ noNaN: true, min: 0, max: 1 }), (samples, q) => {
        const value = quantile(samples, q);
        expect(value).toBe(quantile([...samples].reverse(), q));
        expect(value).toBeGreaterThanOrEqual(Math.min(...samples) - 1e-6);
        expect(value).toBeLessThanOrEqual(Math.max(...samples) + 1e-6);
      }),
    );
  });

  it('share samples among rounds without losing one', () => {
    expect(shareSamples(7, 3)).toEqual([3, 2, 2]);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 1, max: 9 }), (total, rounds) => {
        const shares = shareSamples(total, rounds);
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(total);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('figures', () => {
  it('are shares of the ceiling of their precision, and of the read bandwidth', () => {
    expect(figuresOf(measurement(), roundMachine)).toEqual({
      seconds: { median: 2, low: 1.5, high: 2.5 },
      tokensPerSecond: 5,
      ofCeiling: { mfu: 0.5, hardwareUtilisation: 0.6, bandwidthShare: 0.25 },
      flopsPerSecond: 60,
      bytesPerSecond: 20,
    });
    expect(figuresOf(measurement({ precision: 'bfloat16' }), roundMachine).ofCeiling.mfu).toBe(0.05);
  });

  it('are shares of what the machine did around each sample', () => {
    // The machine halves after the first sample, and with it the speed: by its own measure nothing changed.
    const probed = measurement({
      seconds: [1, 2, 3],
      probes: products([1, 250, 150], [1, 150, 50], [1, 50]),
    });
    const { mfu, hardwareUtilisation, bandwidthShare } = figuresOf(probed, roundMachine);
    expect(mfu).toEqual(spread([100 / 200, 50 / 100, 100 / 3 / 50]));
    expect(hardwareUtilisation?.median).toBeCloseTo(0.6);
    expect(bandwidthShare).toBeUndefined();
    const reading = { readBytesPerSecond: 5 };
    const probes = [{ samples: 3, before: reading, after: reading }];
    expect(figuresOf(measurement({ probes }), roundMachine).bandwidthShare?.median).toBeCloseTo(15 / 6 / 5);
  });

  it('know a ceiling that probes raise where they are better', () => {
    const peak = (precision: string, flopsPerSecond: number) => ({
      precision,
      flopsPerSecond,
      source: 'probe',
      sizes: [{ m: 1, k: 1, n: 1, flopsPerSecond }],
    });
    const probed = { peaks: [peak('float32', 120), peak('bfloat16', 900)], read: 11, times: 4 };
    const { peaks, bandwidth, times } = raiseCeilings(roundMachine, probed);
    expect(peaks.float32).toEqual(peak('float32', 120));
    expect(peaks.bfloat16).toEqual(roundMachine.peaks.bfloat16);
    expect(bandwidth).toEqual({ ...roundMachine.bandwidth, read: 11 });
    expect(times).toBe(5);
    expect(raiseCeilings(roundMachine, { peaks: [], times: 0 })).toEqual(roundMachine);
  });

  it('are left out where nothing was counted', () => {
    const calls = measurement({ work: { executedFlops: 1, executedBytes: 1 } });
    const figures = figuresOf(calls, roundMachine);
    expect(Object.keys(figures.ofCeiling)).toEqual(['hardwareUtilisation']);
    expect(Object.keys(figures)).not.toContain('mfu');
    expect(Object.keys(figures)).not.toContain('tokensPerSecond');
  });

  it('name their subject', () => {
    expect(describeSubject({ model: 'm', length: 8, what: 'token' })).toBe('m, length 8, token');
  });
});

describe('a comparison of reports', () => {
  const around = (median: number, width: number) => ({ median, low: median - width, high: median + width });

  it('calls noise what overlaps or is nearly equal', () => {
    expect(judge(around(10, 2), around(7, 2))).toBe('noise');
    expect(judge(around(10, 0.01), around(10.05, 0.01))).toBe('noise');
    expect(judge(around(10, 1), around(7, 1))).toBe('better');
    expect(judge(around(7, 1), around(10, 1))).toBe('worse');
  });

  it('is the other way round when the reports are', () => {
    const times = fc.array(fc.double({ noNaN: true, min: 0.1, max: 10 }), { minLength: 1, maxLength: 5 });
    const opposite = { better: 'worse', worse: 'better', noise: 'noise' } as const;
    fc.assert(
      fc.property(times, times, (a, b) => {
        expect(judge(spread(a), spread(b))).toBe(opposite[judge(spread(b), spread(a))]);
      }),
    );
  });

  it('compares what both measured, and names what one did', () => {
    const before = report([measurement(), measurement({ subject: { model: 'gone' } })]);
    const after = report([measurement({ seconds: [0.5, 0.5] }), measurement({ subject: { model: 'new' } })]);
    const { differences, missing, surroundings, peakRatio } = compareReports(before, after);
    expect(differences).toHaveLength(1);
    expect(differences[0]).toMatchObject({ speedup: 4, verdict: 'better' });
    expect(missing).toEqual({
      before: ['new, float32, 1 thread, reference'],
      after: ['gone, float32, 1 thread, reference'],
    });
    expect(surroundings).toEqual([]);
    expect(peakRatio).toEqual({ float32: 1, bfloat16: 1 });
  });

  it('counts time in the work of the probes where both have them', () => {
    const before = report([measurement({ seconds: [2, 2], probes: products([1, 100], [1, 100]) })]);
    const slower = measurement({ seconds: [3, 3], probes: products([1, 50], [1, 50]) });
    const [difference] = compareReports(before, report([slower])).differences;
    expect(difference).toMatchObject({ verdict: 'worse', atEqualMachine: { verdict: 'better' } });
    expect(difference.speedup).toBeCloseTo(2 / 3);
    expect(difference.atEqualMachine?.speedup).toBeCloseTo(200 / 150);
    const [without] = compareReports(before, report([measurement()])).differences;
    expect(without.atEqualMachine).toBeUndefined();
  });

  it('says where the machines differ, and refuses reports of two kinds', () => {
    const before = report([measurement()]);
    const { environment } = before;
    const other = report([measurement()], { environment: { ...environment, cpu: 'another' } });
    expect(compareReports(before, other).surroundings).toEqual([
      { what: 'cpu', before: 'test <cpu>', after: 'another' },
    ]);
    expect(() => compareReports(before, { ...before, kind: 'lanes' })).toThrow(/two of the same kind/);
  });
});
