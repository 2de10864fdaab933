import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { philox, randomStream } from './random.ts';

describe('philox', () => {
  // Known answers of the authors' Random123 library, philox4x32 with 10 rounds.
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('gives the published answer for counter %j and key %j', (counter, [key0, key1], expected) => {
    const block = Uint32Array.from(counter);
    philox(block, key0 ?? 0, key1 ?? 0);
    expect([...block]).toEqual(expected);
  });
});

describe('randomStream', () => {
  it('gives the same number for an index, whatever was asked before', () => {
    const straight = randomStream(7, 'a');
    const numbers = Array.from({ length: 64 }, (_, i) => straight.uint32(i));
    fc.assert(
      fc.property(fc.array(fc.nat(63)), (order) => {
        const stream = randomStream(7, 'a');
        for (const index of order) expect(stream.uint32(index)).toBe(numbers[index]);
      }),
    );
  });

  it('differs by seed and by name, including names that continue others', () => {
    const names = [
      '',
      '\0',
      'a',
      'a\0',
      'layer.0.weight',
      'layer.1.weight',
      'layer.0.weight, and more of it',
    ];
    const first = names.flatMap((name) =>
      [0, 1, 2 ** 32, 2 ** 40].map((seed) => randomStream(seed, name).uint32(0)),
    );
    expect(new Set(first).size).toBe(first.length);
  });

  it('reaches beyond 2^32 blocks', () => {
    const stream = randomStream(1, 'far');
    expect(stream.uint32(2 ** 40)).not.toBe(stream.uint32(0));
    expect(stream.uint32(2 ** 40)).toBe(randomStream(1, 'far').uint32(2 ** 40));
  });

  it('has the moments of its distributions', () => {
    const stream = randomStream(3, 'moments');
    const count = 200_000;
    const normals = new Float32Array(count);
    const uniforms = new Float32Array(count);
    stream.fillNormal(normals, 2);
    stream.fillUniform(uniforms, -1, 3);
    const moment = (values: Float32Array, power: number, centre: number) =>
      values.reduce((sum, value) => sum + (value - centre) ** power, 0) / values.length;
    expect(moment(normals, 1, 0)).toBeCloseTo(0, 1);
    expect(Math.abs(moment(normals, 2, 0) / 4 - 1)).toBeLessThan(0.02);
    expect(Math.abs(moment(normals, 4, 0) / 48 - 1)).toBeLessThan(0.05);
    expect(Math.abs(moment(uniforms, 1, 0) - 1)).toBeLessThan(0.02);
    expect(Math.abs(moment(uniforms, 2, 1) / (16 / 12) - 1)).toBeLessThan(0.02);
    expect(Math.min(...uniforms.slice(0, 1000))).toBeGreaterThanOrEqual(-1);
  });

  it('fills from any offset with the numbers of their indices', () => {
    for (const offset of [0, 1, 2, 3, 4, 13]) {
      const stream = randomStream(5, 'x');
      const normals = new Float64Array(23).map((_, i) => stream.normal(offset + i) * 3);
      const filled = new Float32Array(23);
      stream.fillNormal(filled, 3, offset);
      filled.forEach((value, i) => {
        expect(value).toBeCloseTo(normals[i], 5);
      });
      const uniforms = new Float32Array(23);
      stream.fillUniform(uniforms, -1, 1, offset);
      uniforms.forEach((value, i) => {
        expect(value).toBeCloseTo(2 * stream.uniform(offset + i) - 1, 6);
      });
    }
  });

  it('fills in pieces as in one piece', () => {
    const whole = new Float32Array(33);
    randomStream(5, 'x').fillNormal(whole, 0.02);
    for (const cut of [1, 2, 13, 16]) {
      const tail = new Float32Array(33 - cut);
      randomStream(5, 'x').fillNormal(tail, 0.02, cut);
      expect([...tail]).toEqual([...whole.slice(cut)]);
    }
  });
});
