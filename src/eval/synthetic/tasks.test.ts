import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Draws } from './draws.ts';
import { protocolScore, protocols } from './protocol.ts';
import { syntheticKinds, syntheticTask } from './registry.ts';
import type { Split, SyntheticRow, SyntheticTask } from './task.ts';

const splits: readonly Split[] = ['train', 'test'];
const rowIndex = fc.integer({ min: 0, max: 100_000 });

/** Places where something is asked. */
function asked({ targets }: SyntheticRow): number[] {
  return [...targets.keys()].filter((at) => targets[at] >= 0);
}

function forRows(task: SyntheticTask, check: (row: SyntheticRow, split: Split) => void): void {
  fc.assert(
    fc.property(fc.constantFrom(...splits), rowIndex, (split, index) => check(task.row(split, index), split)),
    { numRuns: 20 },
  );
}

/** A few tasks of every kind: as published, and small. */
const small: readonly string[] = [
  ...syntheticKinds.map(({ name }) => name),
  'mad/in-context-recall:vocabulary=4,length=4',
  'mad/noisy-in-context-recall:noise=0.9,vocabulary=20',
  'mad/fuzzy-in-context-recall:vocabulary=8,length=11',
  'mad/memorization:vocabulary=3,length=4',
  'mad/selective-copying:length=33,copy=16',
  'mqar:vocabulary=512,length=128,pairs=32',
  'mqar:vocabulary=64,length=64,pairs=4,filled=1',
  'needle:length=16,vocabulary=5',
];

describe.each(small)('%s', (name) => {
  const task = syntheticTask(name);

  it('has rows of its length, of its tokens, with as many targets as it says', () => {
    forRows(task, (row, split) => {
      expect(row.ids.length).toBe(task.length);
      expect(row.targets.length).toBe(task.length);
      expect(row.ids.every((id) => id >= 0 && id < task.vocabulary)).toBe(true);
      expect(row.targets.every((target) => target >= -1 && target < task.vocabulary)).toBe(true);
      const count = asked(row).length;
      expect(count).toBeGreaterThan(0);
      expect(count).toBeLessThanOrEqual(task.places[split]);
    });
  });

  it('gives the same row again, and another one for every number, split and seed', () => {
    const same = syntheticTask(name);
    expect(same.row('test', 7)).toEqual(task.row('test', 7));
    if (name.includes(':') && task.length < 20) return;
    expect(task.row('test', 8)).not.toEqual(task.row('test', 7));
    expect(task.row('train', 7)).not.toEqual(task.row('test', 7));
    expect(syntheticTask(name, { seed: 9 }).row('test', 7)).not.toEqual(task.row('test', 7));
  });
});

describe('in-context recall', () => {
  const task = syntheticTask('mad/in-context-recall');

  it('has 127 inputs, keys and values in turn, one value per key, and asks for the next token', () => {
    expect(task.length).toBe(127);
    forRows(task, ({ ids, targets }, split) => {
      const values = new Map<number, number>();
      for (let at = 0; at < 127; at += 2) {
        expect(ids[at]).toBeLessThan(8);
        const value = at + 1 < 127 ? ids[at + 1] : targets[at];
        expect(value).toBeGreaterThanOrEqual(8);
        const known = values.has(ids[at]);
        if (known) expect(value).toBe(values.get(ids[at]));
        values.set(ids[at], value);
        // The last key was shown before.
        if (at === 126) expect(known).toBe(true);
        if (split === 'test') expect(targets[at]).toBe(known ? value : -1);
      }
      if (split === 'test') expect(targets.every((target, at) => at % 2 === 0 || target === -1)).toBe(true);
      else expect(Array.from(targets.subarray(0, -1))).toEqual(Array.from(ids.subarray(1)));
    });
  });
});

describe('noisy in-context recall', () => {
  it('has noise in its share of the slots, and asks nothing of it in a test', () => {
    const task = syntheticTask('mad/noisy-in-context-recall:noise=0.4');
    let noise = 0;
    let slots = 0;
    let whole = true;
    for (let index = 0; index < 60; index++) {
      const { ids, targets } = task.row('test', index);
      for (let at = 0; at < 126; at += 2) {
        const noisy = ids[at] >= 16;
        whole &&= ids[at + 1] >= 16 === noisy && (!noisy || targets[at] === -1);
        noise += Number(noisy);
        slots++;
      }
    }
    expect(whole).toBe(true);
    // One of 63 slots is never noise; four standard errors.
    const share = (0.4 * 62) / 63;
    expect(Math.abs(noise / slots - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / slots));
  });
});

describe('fuzzy in-context recall', () => {
  const task = syntheticTask('mad/fuzzy-in-context-recall');

  it('asks at the end for the value of a key of three tokens that was shown before', () => {
    expect(task.length).toBe(128);
    forRows(task, (row, split) => {
      const places = asked(row);
      expect(places.at(-1)).toBe(127);
      const tokens = [...row.ids, row.targets[127]];
      const padded = tokens.findIndex((token) => token !== 15);
      expect(tokens.slice(padded)).not.toContain(15);
      if (split === 'train') {
        expect(places.length).toBe(tokens.length - Math.max(padded, 1));
        return;
      }
      const probe = tokens.slice(tokens.length - places.length - 3);
      expect(probe.slice(0, 3).every((token) => token < 7)).toBe(true);
      expect(new Set(probe.slice(0, 3)).size).toBe(3);
      expect(probe.slice(3).every((token) => token >= 7)).toBe(true);
      const text = ` ${tokens.slice(0, -probe.length).join(' ')} `;
      expect(text).toContain(` ${probe.join(' ')} `);
    });
  });
});

describe('memorization', () => {
  it('has one map for all rows; values are asked for where the last token stands, and never read', () => {
    const task = syntheticTask('mad/memorization');
    const values = new Map<number, number>();
    forRows(task, ({ ids, targets }) => {
      for (let at = 0; at < 32; at += 2) {
        expect(ids[at]).toBeLessThan(127);
        expect(ids[at + 1]).toBe(255);
        expect(targets[at]).toBe(-1);
        expect(targets[at + 1]).toBeGreaterThanOrEqual(127);
        expect(values.get(ids[at]) ?? targets[at + 1]).toBe(targets[at + 1]);
        values.set(ids[at], targets[at + 1]);
      }
    });
    expect(new Set(values.values()).size).toBe(values.size);
    expect(task.trainRows).toBe(256);
  });
});

describe('compression', () => {
  it('asks for the whole row, its end included', () => {
    const task = syntheticTask('mad/compression');
    forRows(task, ({ ids, targets }) => {
      expect(targets).toEqual(ids);
      expect([...ids].indexOf(15)).toBe(31);
    });
  });
});

describe('selective copying', () => {
  it('asks at the last sixteen places for the tokens among blanks', () => {
    const task = syntheticTask('mad/selective-copying');
    expect(task.length).toBe(256);
    forRows(task, (row) => {
      const { ids, targets } = row;
      expect(asked(row)).toEqual(Array.from({ length: 16 }, (_, index) => 240 + index));
      expect(ids[239]).toBe(15);
      const shown = [...ids.subarray(0, 239)].filter((id) => id !== 14);
      expect(shown).toEqual([...targets.subarray(240)]);
      expect([...ids.subarray(240)].every((id) => id === 14)).toBe(true);
    });
  });
});

describe('MQAR', () => {
  const task = syntheticTask('mqar:vocabulary=512,length=256,pairs=32');

  it('shows every key once and asks for each once more', () => {
    forRows(task, (row) => {
      const { ids, targets } = row;
      const values = new Map<number, number>();
      for (let at = 0; at < 64; at += 2) values.set(ids[at], ids[at + 1]);
      expect(values.size).toBe(32);
      for (const [key, value] of values) {
        expect(key).toBeGreaterThan(0);
        expect(key).toBeLessThan(256);
        expect(value).toBeGreaterThanOrEqual(256);
      }
      const places = asked(row);
      expect(places.length).toBe(32);
      for (const at of places) {
        expect(at).toBeGreaterThanOrEqual(64);
        expect(at % 2).toBe(0);
        expect(targets[at]).toBe(values.get(ids[at]));
      }
      expect(new Set(places.map((at) => ids[at])).size).toBe(32);
      expect(ids.every((id, at) => at < 64 || places.includes(at) || id === 0)).toBe(true);
    });
  });

  it('asks soon for most keys', () => {
    const gaps = Array.from({ length: 50 }, (_, index) => asked(task.row('train', index))).flat();
    const mean = gaps.reduce((sum, at) => sum + (at - 64) / 192, 0) / gaps.length;
    expect(mean).toBeLessThan(0.4);
  });
});

describe('the needle', () => {
  it('lies at the depth that its group says, each depth in turn', () => {
    const task = syntheticTask('needle');
    for (let index = 0; index < 100; index++) {
      const { ids, targets, group } = task.row('test', index);
      const at = ids.indexOf(63);
      expect(ids[127]).toBe(63);
      expect(targets[127]).toBe(ids[at + 1]);
      expect(targets[127]).toBeGreaterThanOrEqual(31);
      const tenth = (index % 10) * 10;
      expect(group).toBe(`depth ${tenth} to ${tenth + 10} %`);
      expect(Math.floor((at * 10) / 126) * 10).toBeGreaterThanOrEqual(tenth - 10);
      expect(at / 126).toBeLessThan((tenth + 10) / 100);
    }
  });
});

describe('draws', () => {
  it('of different numbers are a permutation when all are taken', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(1000), (count, seed) => {
        const found = new Draws(seed, 'test').different(count, 5, 5 + count);
        expect([...found].sort((a, b) => a - b)).toEqual(
          Array.from({ length: count }, (_, index) => 5 + index),
        );
      }),
    );
  });

  it('by weight take the first with the probability of its weight', () => {
    const count = 4000;
    let first = 0;
    for (let seed = 0; seed < count; seed++)
      first += Number(new Draws(seed, 'test').weighted(1, [3, 1])[0] === 0);
    expect(Math.abs(first / count - 0.75)).toBeLessThan(4 * Math.sqrt((0.75 * 0.25) / count));
  });
});

describe('the protocols', () => {
  it('of MAD has 11, 14, 11, 6, 11 and 13 settings, 396 runs, and all of them can be made', () => {
    const [mad] = protocols;
    const counts = syntheticKinds
      .filter(({ name }) => name.startsWith('mad/'))
      .map(({ name }) => mad.settings.filter(({ task }) => task === name).length);
    expect(counts).toEqual([11, 14, 11, 6, 11, 13]);
    expect(mad.settings.length * mad.training.rates.length * mad.training.decays.length).toBe(396);
    for (const { settings } of protocols) for (const one of settings) syntheticTask(one.task, one.settings);
  });

  it('average over settings first and over tasks then', () => {
    const found = protocolScore([
      { task: 'a', score: 1 },
      { task: 'a', score: 0 },
      { task: 'b', score: 1 },
    ]);
    expect(found).toEqual({ tasks: { a: 0.5, b: 1 }, score: 0.75 });
  });
});

describe('a task that is not one', () => {
  it.each([
    ['mqar:pears=3', /no setting 'pears'\. Did you mean 'pairs'/],
    ['mqra', /Did you mean 'mqar'/],
    ['mqar:pairs=0', /pairs is '0'; it must be a whole number/],
    ['mqar:pairs=', /pairs is ''/],
    ['mad/noisy-in-context-recall:noise=2', /between 0 and 1/],
    ['mqar:length=64', /at least 4 times the 64 pairs/],
    ['mad/in-context-recall:length=9', /must be even/],
    ['mad/selective-copying:copy=128', /257 tokens do not fit into 256/],
    ['mad/fuzzy-in-context-recall:vocabulary=6', /at least 7/],
  ])('%s is explained', (name, message) => {
    expect(() => syntheticTask(name)).toThrow(message);
  });
});
