import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { probeSeconds } from './probe.ts';
import { joinSamples, type Moment, sharesOf, takeSamples } from './probes.ts';

/** Probes that count up: 1, 2, 3 … FLOP/s. */
function counting() {
  let rate = 0;
  return async (): Promise<Moment> => ({ flopsPerSecond: ++rate });
}

const rate = ({ flopsPerSecond }: Moment) => flopsPerSecond;

describe('samples between probes', () => {
  it('have a probe before and after each that takes longer than a probe', async () => {
    const samples = await takeSamples(3, counting(), async (index) => 4 + index);
    expect(samples.seconds).toEqual([4, 5, 6]);
    expect(samples.probes).toEqual(
      [1, 2, 3].map((first) => ({
        samples: 1,
        before: { flopsPerSecond: first },
        after: { flopsPerSecond: first + 1 },
      })),
    );
  });

  it('share probes where they are short, and always end with one', async () => {
    const third = probeSeconds / 3;
    const { probes = [] } = await takeSamples(7, counting(), async () => third * 1.01);
    expect(probes.map(({ samples }) => samples)).toEqual([3, 3, 1]);
    expect(probes.at(-1)?.after).toEqual({ flopsPerSecond: 4 });
  });

  it('are samples alone without a gauge', async () => {
    expect(await takeSamples(2, undefined, async () => 1)).toEqual({ seconds: [1, 1] });
    expect(joinSamples([{ seconds: [1] }, { seconds: [2] }])).toEqual({ seconds: [1, 2] });
  });

  it('belong to exactly one group each, in visits joined together too', async () => {
    const times = fc.array(fc.double({ noNaN: true, min: 0.001, max: 1 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(times, times, async (first, second) => {
        const visits = await Promise.all(
          [first, second].map((values) => takeSamples(values.length, counting(), async (i) => values[i])),
        );
        const { seconds, probes = [] } = joinSamples(visits);
        expect(seconds).toEqual([...first, ...second]);
        expect(probes.reduce((total, { samples }) => total + samples, 0)).toBe(seconds.length);
      }),
    );
  });
});

describe('the share of a group', () => {
  it('is its work over its time and the mean of both probes', () => {
    const probes = [
      { samples: 2, before: { flopsPerSecond: 3 }, after: { flopsPerSecond: 5 } },
      { samples: 1, before: { flopsPerSecond: 5 }, after: { flopsPerSecond: 5 } },
    ];
    expect(sharesOf({ seconds: [1, 3, 2], probes }, 8, rate)).toEqual([1, 0.8]);
  });

  it('does not depend on how fast the machine is', () => {
    const machine = fc.double({ noNaN: true, min: 0.1, max: 10 });
    fc.assert(
      fc.property(machine, machine, (speed, other) => {
        const at = (factor: number) => {
          const moment = { flopsPerSecond: 100 * factor };
          const probes = [{ samples: 1, before: moment, after: moment }];
          return sharesOf({ seconds: [2 / factor], probes }, 50, rate)[0];
        };
        expect(at(speed)).toBeCloseTo(at(other), 9);
      }),
    );
  });

  it('is none where another rate was probed, or nothing', () => {
    const moment = { readBytesPerSecond: 1 };
    expect(
      sharesOf({ seconds: [1], probes: [{ samples: 1, before: moment, after: moment }] }, 1, rate),
    ).toEqual([]);
    expect(sharesOf({ seconds: [1] }, 1, rate)).toEqual([]);
  });
});
