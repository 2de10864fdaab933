import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { weighNucleotides } from './dna.ts';

function weigh(rows: readonly string[], sum = 1): { text: string[]; weights: number[][] } {
  const length = rows[0].length;
  const targets = Int32Array.from(rows.join(''), (letter) => (letter === '.' ? 256 : letter.charCodeAt(0)));
  const weights = new Float64Array(targets.length);
  weighNucleotides(targets, length, weights, sum);
  return {
    text: rows.map((_, row) => String.fromCharCode(...targets.subarray(row * length, (row + 1) * length))),
    weights: rows.map((_, row) => [...weights.subarray(row * length, (row + 1) * length)]),
  };
}

/** `1` where something weighs like a letter, `r` like a repeat, `0` like nothing. */
const shape = (rows: readonly string[]): string[] => {
  const { weights } = weigh(rows);
  const full = Math.max(...weights.flat());
  return weights.map((row) =>
    row.map((weight) => (weight === 0 ? '0' : Math.abs(weight / full - 0.1) < 1e-12 ? 'r' : '1')).join(''),
  );
};

describe('the weights of a genome', () => {
  it('are a tenth for repeats and nothing for control characters and tags', () => {
    expect(shape(['ACgtN@A#C', 'AC.acGTNN'])).toEqual(['11rr10101', '111rr1111']);
    expect(shape(['A|d__B;x|C', 'GG|tag|AAA'])).toEqual(['1000000001', '1100000111']);
    expect(weigh(['acGT']).text).toEqual(['ACGT']);
  });

  it('know a tag that began in an earlier row, and end an open one with its sequence', () => {
    expect(shape(['eria;|ACG', 'ACG|d__B.'])).toEqual(['000000111', '111000001']);
  });

  it('have the mean 1 over all that weighs anything', () => {
    const letters = fc.constantFrom(...'ACGTacgtN@#');
    fc.assert(
      fc.property(fc.array(letters, { minLength: 1, maxLength: 60 }), (row) => {
        const { weights } = weigh([row.join('')]);
        const counted = weights[0].filter((weight) => weight > 0);
        const total = counted.reduce((sum, weight) => sum + weight, 0);
        expect(total).toBeCloseTo(counted.length > 0 ? 1 : 0, 12);
      }),
    );
    expect(weigh(['Aa'], 0.5).weights[0][0]).toBeCloseTo(0.5 / 1.1, 12);
    expect(weigh(['@@']).weights).toEqual([[0, 0]]);
  });
});
